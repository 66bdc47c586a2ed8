#!/usr/bin/env node
"use strict";
// Behaves badly. Says one line of JSON when it is at it; its first argument says how:
//
//   deaf            ignores signals and the end of input
//   deaf-server     is deaf and answers as an MCP server without tools would
//   daemons [N]     leaves processes in sessions of their own that hold its stdout and ignore signals; ends with N, else at
//                   the end of input
//   forks N         starts as many processes as it may, N at most, and says how many
//   fills           fills every directory that it can write, and says how far it came
//   shouts          writes to stderr without end
//   never-reads     never reads its stdin
//   half N          ends with N in the middle of a line
//   eats MIB        takes as much memory, and ends with 0 if it could
const child = require("child_process");
const fs = require("fs");

const [mode, number] = process.argv.slice(2);
const say = (value) => fs.writeSync(1, JSON.stringify({ jsonrpc: "2.0", method: "notifications/unruly", params: value }) + "\n");
const ignoreSignals = () => ["SIGTERM", "SIGINT", "SIGHUP"].forEach((name) => process.on(name, () => {}));
const endWithInput = () => process.stdin.on("end", () => process.exit(0)).resume();

function fill(directory) {
  const block = Buffer.alloc(1 << 20, 1);
  let bytes = 0;
  try {
    const file = fs.openSync(directory + "/unruly", "w");
    for (; bytes < 2 ** 32; ) bytes += fs.writeSync(file, block);
    return { bytes, code: null };
  } catch (error) {
    return { bytes, code: error.code };
  }
}

const modes = {
  deaf() {
    ignoreSignals();
    process.stdin.resume();
    setInterval(() => {}, 1000);
    say({});
  },
  "deaf-server"() {
    ignoreSignals();
    setInterval(() => {}, 1000);
    require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
      const { id, method, params } = JSON.parse(line);
      if (id === undefined) return;
      const result = method === "initialize" ? { protocolVersion: params.protocolVersion, capabilities: { tools: {} },
        serverInfo: { name: "unruly", version: "0" } } : { tools: [] };
      fs.writeSync(1, JSON.stringify({ jsonrpc: "2.0", id, result }) + "\n");
    });
  },
  daemons() {
    const stays = "trap '' TERM INT HUP; exec sleep 1000";
    // a session of its own; another one; one whose parent has gone; all with this stdout
    child.spawnSync("/bin/sh", ["-c", `setsid sh -c "${stays}" & setsid sh -c "setsid sh -c \\"${stays}\\" &" & (sh -c "${stays}" &)`],
      { stdio: ["ignore", "inherit", "inherit"] });
    say({});
    if (number !== undefined) process.exit(Number(number));
    endWithInput();
  },
  forks() {
    const script = `n=0; while [ $n -lt ${Number(number)} ]; do sleep 1000 >/dev/null 2>&1 & n=$((n+1)); echo $n; done`;
    const result = child.spawnSync("/bin/sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore"], timeout: 60000 });
    say({ count: Number(String(result.stdout).trim().split("\n").pop()), status: result.status });
    endWithInput();
  },
  fills() {
    say(Object.fromEntries(["/run", "/dev/shm", process.env.HOME, "/tmp", "/"].map((name) => [name, fill(name)])));
    endWithInput();
  },
  shouts() {
    say({});
    const line = Buffer.from("unruly ".repeat(1000) + "\n");
    for (;;) try { fs.writeSync(2, line); } catch (error) { if (error.code !== "EAGAIN") process.exit(9); }
  },
  "never-reads"() {
    say({});
    setInterval(() => {}, 1000);
  },
  half() {
    say({});
    fs.writeSync(1, '{"jsonrpc":"2.0","id":1,"res');
    process.exit(Number(number));
  },
  eats() {
    say({});
    const kept = [];
    for (let mib = 0; mib < Number(number); mib += 16) kept.push(Buffer.alloc(16 << 20, 1));
    process.exit(0);
  },
};
modes[mode]();
