#!/usr/bin/env node
"use strict";
// A minimal MCP server over stdio. Its first argument chooses how it behaves; the default is to serve.
//
//   echo            every byte of stdin back to stdout
//   exit N          ends with status N at once
//   signal NAME     ends itself by a signal
//   stubborn        ignores SIGTERM and end of input
//   slow-eof MS     on end of input waits MS, answers "late", ends
//   fork            leaves a child behind that ignores signals, then serves
//   args            prints its arguments as one JSON line, ends
const fs = require("fs");
const os = require("os");
const net = require("net");
const path = require("path");
const child = require("child_process");

const [mode, ...rest] = process.argv.slice(2);

function attempt(action) {
  try {
    const value = action();
    return { ok: true, value: value === undefined ? null : value };
  } catch (error) {
    return { ok: false, code: error.code || null, message: String(error.message) };
  }
}

const tools = {
  env: () => process.env,
  argv: () => process.argv.slice(2),
  cwd: () => process.cwd(),
  whoami: () => ({ uid: process.getuid(), gid: process.getgid(), home: os.homedir(), user: os.userInfo().username }),
  status: () => fs.readFileSync("/proc/self/status", "utf8"),
  read: ({ path: name }) => fs.readFileSync(name, "utf8"),
  list: ({ path: name }) => fs.readdirSync(name).sort(),
  write: ({ path: name, text }) => fs.writeFileSync(name, text),
  remove: ({ path: name }) => fs.unlinkSync(name),
  mounts: () => fs.readFileSync("/proc/self/mountinfo", "utf8"),
  processes: () => fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name)).length,
  interfaces: () => Object.keys(os.networkInterfaces()),
  spawn: ({ command, args }) => {
    const result = child.spawnSync(command, args || [], { encoding: "utf8" });
    return { status: result.status, signal: result.signal, stdout: result.stdout, stderr: result.stderr,
             error: result.error ? result.error.code : null };
  },
  allocate: ({ mib }) => {
    const blocks = [];
    for (let i = 0; i < mib; i += 16) blocks.push(Buffer.alloc(16 * 1024 * 1024, 1));
    return blocks.length;
  },
};

function connect({ host, port }) {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port, timeout: 3000 });
    socket.on("connect", () => { socket.destroy(); resolve({ ok: true }); });
    socket.on("timeout", () => { socket.destroy(); resolve({ ok: false, code: "TIMEOUT" }); });
    socket.on("error", (error) => resolve({ ok: false, code: error.code }));
  });
}

function send(message) {
  process.stdout.write(JSON.stringify(message) + "\n");
}

// What comes back over one connection until its end, or the error.
function talk({ host, port, text }) {
  return new Promise((resolve) => {
    let value = "";
    const socket = net.connect({ host, port, timeout: 10000 }, () => socket.end(text));
    socket.setEncoding("utf8").on("data", (more) => { value += more; });
    socket.on("end", () => resolve({ ok: true, value }));
    socket.on("timeout", () => socket.destroy(Object.assign(new Error("no answer"), { code: "ETIMEDOUT" })));
    socket.on("error", (error) => resolve({ ok: false, code: error.code, message: error.message }));
  });
}

async function answer(message) {
  const { id, method, params } = message;
  if (id === undefined) return;
  if (method === "initialize") {
    send({ jsonrpc: "2.0", id, result: { protocolVersion: params.protocolVersion, capabilities: { tools: {} },
                                         serverInfo: { name: "npxc-probe", version: "1.0.0" } } });
  } else if (method === "tools/list") {
    const names = Object.keys(tools).concat("connect", "talk");
    send({ jsonrpc: "2.0", id, result: { tools: names.map((name) => ({ name, description: `what ${name} says`,
                                                                     inputSchema: { type: "object" } })) } });
  } else if (method === "tools/call") {
    const { name, arguments: args } = params;
    const result = name === "connect" ? await connect(args) : name === "talk" ? await talk(args) : attempt(() => tools[name](args || {}));
    send({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text: JSON.stringify(result) }] } });
  } else {
    send({ jsonrpc: "2.0", id, error: { code: -32601, message: "method not found" } });
  }
}

function serve() {
  let buffered = "";
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (text) => {
    buffered += text;
    const lines = buffered.split("\n");
    buffered = lines.pop();
    for (const line of lines) if (line.trim()) answer(JSON.parse(line));
  });
  // No process.exit: what a pipe has not taken yet would be lost.
  process.stdin.on("end", () => { process.exitCode = Number(process.env.PROBE_EXIT_STATUS || 0); });
}

process.stderr.write(`probe ${path.basename(process.argv[1])} ready\n`);
switch (mode) {
  case "echo":
    process.stdin.pipe(process.stdout);
    break;
  case "exit":
    process.exit(Number(rest[0]));
    break;
  case "signal":
    process.kill(process.pid, rest[0]);
    setInterval(() => {}, 1000);
    break;
  case "stubborn":
    process.on("SIGTERM", () => {});
    process.on("SIGINT", () => {});
    process.stdin.resume();
    setInterval(() => {}, 1000);
    send({ jsonrpc: "2.0", method: "notifications/ready" });
    break;
  case "slow-eof":
    process.stdin.resume();
    process.stdin.on("end", () => setTimeout(() => { send({ late: true }); process.exit(0); }, Number(rest[0])));
    break;
  case "fork":
    child.spawn("sh", ["-c", "trap '' TERM HUP INT; while :; do sleep 1; done"], { detached: true, stdio: "ignore" }).unref();
    serve();
    break;
  case "args":
    process.stdout.write(JSON.stringify(rest) + "\n");
    break;
  default:
    serve();
}
