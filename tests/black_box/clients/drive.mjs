// Drives a server with an official SDK, as an MCP client would, and prints what happened as one JSON object.
//
//   node drive.mjs '{"sdk": "v1"|"v2"|"v2-auto", "command", "args", "cwd", "env", "calls": [{name, arguments}],
//                    "roots": null|"answer"|"silence", "sampling": true|false, "hold": true|false}'
//
// hold: prints "held" after the calls and goes on until it is killed.
// It runs in the directory that holds node_modules. Every signal that the SDK sends to a process it started is recorded, and
// how each of those processes ended: a close() that needs no signal is one within the SDK's first 2 s.
import { ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const wanted = JSON.parse(process.argv[2]);
const require = createRequire(process.cwd() + "/");
const load = (name) => import(pathToFileURL(require.resolve(name)));

const processes = [];
const kill = ChildProcess.prototype.kill;
ChildProcess.prototype.kill = function (signal) {
  this.witness?.signals.push(signal);
  return kill.call(this, signal);
};
const spawn = ChildProcess.prototype.spawn;
ChildProcess.prototype.spawn = function (options) {
  const witness = { pid: null, signals: [], status: null, signal: null, closed: false };
  processes.push(witness);
  this.witness = witness;
  this.on("exit", (status, signal) => Object.assign(witness, { status, signal }));
  this.on("close", () => { witness.closed = true; });
  const result = spawn.call(this, options);
  witness.pid = this.pid;
  return result;
};

async function client() {
  const about = { name: "npxc-test", version: "0" };
  const capabilities = { ...(wanted.roots && { roots: {} }), ...(wanted.sampling && { sampling: {} }) };
  const roots = () => (wanted.roots === "silence" ? new Promise(() => {})
    : { roots: [{ uri: pathToFileURL(wanted.cwd).href, name: "project" }] });
  const sample = () => ({ model: "none", role: "assistant", content: { type: "text", text: "sampled by the client" } });
  if (wanted.sdk === "v1") {
    const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
    const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
    const types = await load("@modelcontextprotocol/sdk/types.js");
    const made = new Client(about, { capabilities });
    if (wanted.roots) made.setRequestHandler(types.ListRootsRequestSchema, async () => roots());
    if (wanted.sampling) made.setRequestHandler(types.CreateMessageRequestSchema, async () => sample());
    return { made, StdioClientTransport, call: (params, options) => made.callTool(params, undefined, options) };
  }
  const { Client } = await load("@modelcontextprotocol/client");
  const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");
  const mode = wanted.sdk === "v2-auto" ? "auto" : "legacy";
  const made = new Client(about, { capabilities, versionNegotiation: { mode } });
  if (wanted.roots) made.setRequestHandler("roots/list", async () => roots());
  if (wanted.sampling) made.setRequestHandler("sampling/createMessage", async () => sample());
  return { made, StdioClientTransport, call: (params, options) => made.callTool(params, options) };
}

const { made, StdioClientTransport, call } = await client();
const transport = new StdioClientTransport({
  command: wanted.command, args: wanted.args, cwd: wanted.cwd, env: wanted.env, stderr: "pipe",
});
let stderr = "";
transport.stderr?.on("data", (chunk) => { stderr += chunk; });

const seen = { results: [], progress: 0 };
try {
  await made.connect(transport);
  seen.server = made.getServerVersion();
  seen.tools = (await made.listTools()).tools.map((tool) => tool.name);
  for (const params of wanted.calls) {
    seen.results.push(await call(params, { onprogress: () => { seen.progress += 1; } }));
  }
  if (wanted.hold) {
    console.log("held");
    await new Promise(() => setInterval(() => {}, 1000));
  }
  await made.close();
} catch (error) {
  seen.error = String(error);
  await made.close();
}
console.log(JSON.stringify({ ...seen, processes, stderr }));
