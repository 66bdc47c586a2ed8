// Downloads over HTTPS, and a server of them: what the way out of a sandbox leaves of a direct one.
//
//   node https.cjs serve KEY CERTIFICATE     prints its port; ends with stdin
//   node https.cjs get HOST PORT MIB ROUNDS  prints MiB/s of each download, one a line
//   node https.cjs echo HOST PORT ROUNDS     connect, one byte there and back; prints microseconds
"use strict";
const fs = require("fs");
const https = require("https");
const net = require("net");

const [, , what, ...words] = process.argv;
const MIB = 1024 * 1024;

function serve(key, certificate) {
  const block = Buffer.alloc(256 * 1024, "x");
  const server = https.createServer({ key: fs.readFileSync(key), cert: fs.readFileSync(certificate) }, (request, response) => {
    let left = Number(request.url.slice(1)) * MIB;
    response.writeHead(200, { "content-length": left });
    const more = () => {
      while (left > 0) {
        left -= block.length;
        if (!response.write(block)) return response.once("drain", more);
      }
      response.end();
    };
    more();
  });
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.on("end", () => process.exit(0)).resume();
}

function get(host, port, mib) {
  return new Promise((resolve, reject) => {
    const began = process.hrtime.bigint();
    https.get({ host, port, path: `/${mib}`, rejectUnauthorized: false, agent: false }, (response) => {
      let length = 0;
      response.on("data", (bytes) => { length += bytes.length; });
      response.on("end", () => {
        if (length !== mib * MIB) return reject(new Error(`${length} bytes`));
        console.log((mib / (Number(process.hrtime.bigint() - began) / 1e9)).toFixed(1));
        resolve();
      });
    }).on("error", reject);
  });
}

function echo(host, port) {
  return new Promise((resolve, reject) => {
    const began = process.hrtime.bigint();
    const socket = net.connect({ host, port: Number(port), noDelay: true }, () => socket.write("x"));
    socket.on("data", () => {
      console.log((Number(process.hrtime.bigint() - began) / 1e3).toFixed(1));
      socket.destroy();
    });
    socket.on("close", resolve).on("error", reject);
  });
}

(async () => {
  if (what === "serve") return serve(...words);
  const [host, port] = words;
  if (what === "get") for (let i = 0; i < Number(words[3]); i++) await get(host, port, Number(words[2]));
  if (what === "echo") for (let i = 0; i < Number(words[2]); i++) await echo(host, port);
})().catch((error) => { console.error(error); process.exit(1); });
