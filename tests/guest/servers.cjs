// The servers that the guest's clients talk to, on loopback ports that the system picks. Prints one line of JSON, which
// maps the ports that clients name to those. Ends when stdin does. usage: node servers.cjs CERTIFICATES MODULES
'use strict';

const fs = require('fs');
const http = require('http');
const http2 = require('http2');
const net = require('net');
const path = require('path');
const tls = require('tls');

const [certificates, modules] = process.argv.slice(2);
const load = (name) => require(require.resolve(name, { paths: [modules] }));
const { WebSocketServer } = load('ws');
const grpc = load('@grpc/grpc-js');
const read = (name) => fs.readFileSync(path.join(certificates, name));
const identity = { key: read('server.key'), cert: read('server.pem') };

// A JSON-RPC server with one tool, as far as MCP clients ask.
function answerMcp(message) {
	const result = {
		initialize: { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 'test', version: '0' } },
		'tools/list': { tools: [{ name: 'greet', inputSchema: { type: 'object' } }] },
	}[message.method];

	return message.id === undefined ? null : { jsonrpc: '2.0', id: message.id, result: result || {} };
}

const eventStreams = new Set();

function readBody(request, then) {
	const chunks = [];

	request.on('data', (chunk) => chunks.push(chunk));
	request.on('end', () => then(Buffer.concat(chunks)));
}

function serveHttp(request, response) {
	const host = request.headers[':authority'] || request.headers.host;
	const url = new URL(request.url, `http://${host}`);
	const send = (status, type, text) => {
		response.writeHead(status, { 'content-type': type });
		response.end(text);
	};

	switch (url.pathname) {
	case '/':
		return send(200, 'text/plain', `hello ${host} over ${request.httpVersion}, sni ${request.socket.servername}`);
	case '/echo':
		return readBody(request, (body) => send(200, 'application/octet-stream', body));
	case '/big':
		return send(200, 'application/octet-stream', Buffer.alloc(Number(url.searchParams.get('bytes')), 'x'));
	case '/redirect':
		response.writeHead(302, { location: '/' });
		return response.end();
	case '/events':
		response.writeHead(200, { 'content-type': 'text/event-stream' });
		return response.write('data: first\n\n');
	case '/repo.git/info/refs':
		return send(200, 'text/plain', `${'1'.repeat(40)}\trefs/heads/main\n`);
	case '/repo.git/HEAD':
		return send(200, 'text/plain', 'ref: refs/heads/main\n');
	case '/mcp':
		if (request.method !== 'POST')
			return send(405, 'text/plain', '');
		return readBody(request, (body) => {
			const answer = answerMcp(JSON.parse(body));
			return answer ? send(200, 'application/json', JSON.stringify(answer)) : send(202, 'text/plain', '');
		});
	case '/sse':
		response.writeHead(200, { 'content-type': 'text/event-stream' });
		eventStreams.add(response);
		response.on('close', () => eventStreams.delete(response));
		return response.write('event: endpoint\ndata: /message\n\n');
	case '/message':
		return readBody(request, (body) => {
			const answer = answerMcp(JSON.parse(body));
			for (const stream of answer ? eventStreams : [])
				stream.write(`event: message\ndata: ${JSON.stringify(answer)}\n\n`);
			send(202, 'text/plain', 'Accepted');
		});
	default:
		return send(404, 'text/plain', 'nothing here');
	}
}

function withWebSockets(server) {
	const sockets = new WebSocketServer({ noServer: true });

	server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, (client) => {
		client.on('message', (data) => client.send(`echo ${data}`));
	}));
	return server;
}

// As much of PostgreSQL as a query without parameters needs: every answer is one row, with the text of the query.
function servePostgres(socket) {
	const message = (type, ...parts) => {
		const body = Buffer.concat(parts.map((part) => Buffer.isBuffer(part) ? part : Buffer.from(part)));
		const head = Buffer.alloc(5);
		head.write(type);
		head.writeInt32BE(body.length + 4, 1);
		return Buffer.concat([head, body]);
	};
	const int16 = (value) => Buffer.from([value >> 8, value & 0xff]);
	const int32 = (value) => Buffer.from([value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff]);
	const ready = message('Z', 'I');
	let received = Buffer.alloc(0);
	let started = false;

	socket.on('error', () => socket.destroy());
	socket.on('data', function take(chunk) {
		received = Buffer.concat([received, chunk]);
		for (;;) {
			const at = started ? 1 : 0;
			if (received.length < at + 4 || received.length < at + received.readInt32BE(at))
				return;
			const length = at + received.readInt32BE(at);
			const body = received.subarray(at + 4, length);
			const type = started ? String.fromCharCode(received[0]) : body.readInt32BE(0);
			received = received.subarray(length);
			if (type === 80877103) {
				socket.removeListener('data', take);
				socket.write('S');
				servePostgres(new tls.TLSSocket(socket, { isServer: true, ...identity }));
				return;
			}
			if (!started) {
				started = true;
				socket.write(Buffer.concat([message('R', int32(0)), ready]));
			} else if (type === 'Q') {
				const text = body.subarray(0, body.length - 1);
				socket.write(Buffer.concat([
					message('T', int16(1), 'said\0', int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)),
					message('D', int16(1), int32(text.length), text),
					message('C', 'SELECT 1\0'), ready]));
			} else if (type === 'X') {
				socket.end();
			}
		}
	});
}

// As much of Redis as INFO, PING and GET need; clients write commands as arrays of bulk strings.
function serveRedis(socket) {
	let received = '';

	socket.on('error', () => socket.destroy());
	socket.on('data', (chunk) => {
		received += chunk;
		for (;;) {
			const count = /^\*(\d+)\r\n/.exec(received);
			const all = count && new RegExp(`^\\*\\d+\\r\\n(?:\\$\\d+\\r\\n(.*)\\r\\n){${count[1]}}`).exec(received);
			if (!all)
				return;
			const words = all[0].split('\r\n').filter((word, i) => i > 0 && i % 2 === 0 && word !== '');
			received = received.slice(all[0].length);
			const bulk = (text) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
			const command = words[0].toLowerCase();
			socket.write(command === 'info' ? bulk('redis_version:7.0.0\r\nloading:0\r\n') :
				command === 'get' ? bulk(`value of ${words[1]}`) : command === 'ping' ? '+PONG\r\n' : '+OK\r\n');
		}
	});
}

function grpcServer() {
	const server = new grpc.Server();
	const plain = { requestSerialize: (text) => Buffer.from(text), requestDeserialize: String,
		responseSerialize: (text) => Buffer.from(text), responseDeserialize: String };

	server.addService({ echo: { path: '/test.Echo/echo', requestStream: false, responseStream: false, ...plain } },
		{ echo: (call, done) => done(null, `echo ${call.request}`) });
	return server;
}

const listeners = {
	7: net.createServer({ allowHalfOpen: true }, (socket) => socket.on('error', () => {}).pipe(socket)),
	8: tls.createServer(identity, (socket) => socket.on('error', () => {}).end(`hello, sni ${socket.servername}`)),
	21: net.createServer((socket) => socket.on('error', () => {}).write('220 ready\r\n')),
	80: withWebSockets(http.createServer(serveHttp)),
	443: withWebSockets(http2.createSecureServer({ ...identity, allowHTTP1: true }, serveHttp)),
	5432: net.createServer(servePostgres),
	6379: net.createServer(serveRedis),
	6380: tls.createServer(identity, serveRedis),
	8080: http2.createServer(serveHttp),
};

async function main() {
	const ports = {};

	for (const [port, server] of Object.entries(listeners)) {
		await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
		ports[port] = server.address().port;
	}
	const secure = grpc.ServerCredentials.createSsl(null, [{ private_key: identity.key, cert_chain: identity.cert }]);
	for (const [port, credentials] of [[50051, grpc.ServerCredentials.createInsecure()], [50052, secure]]) {
		const server = grpcServer();
		ports[port] = await new Promise((resolve, reject) => server.bindAsync('127.0.0.1:0', credentials,
			(error, bound) => error ? reject(error) : resolve(bound)));
	}
	console.log(JSON.stringify(ports));
	process.stdin.on('end', () => process.exit(0)).resume();
}

main();
