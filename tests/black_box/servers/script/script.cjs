#!/usr/bin/env node
"use strict";
// A server without a will: its first argument is a JSON file of byte strings in base64, and after each line that it got
// it writes the next of them. At the end of its input it writes the rest, and what it got as one more line.
const fs = require("fs");

const said = JSON.parse(fs.readFileSync(process.argv[2], "utf8")).map((text) => Buffer.from(text, "base64"));
const got = [];
process.stdin.on("data", (bytes) => {
  got.push(bytes);
  for (const byte of bytes) if (byte === 10 && said.length > 0) process.stdout.write(said.shift());
});
process.stdin.on("end", () => {
  for (const bytes of said) process.stdout.write(bytes);
  process.stdout.write(JSON.stringify({ method: "notifications/got", params: { bytes: Buffer.concat(got).toString("base64") } }) + "\n");
});
