// Node's own clients.
'use strict';

const assert = require('assert');
const dns = require('dns');
const http = require('http');
const http2 = require('http2');
const https = require('https');
const net = require('net');
const tls = require('tls');
const { once } = require('events');
const { promisify } = require('util');

// The whole answer of a request, as text.
function textOf(request, body) {
	return new Promise((resolve, reject) => {
		request.on('error', reject);
		request.on('response', (response) => {
			let text = '';
			response.setEncoding('latin1').on('data', (chunk) => text += chunk);
			response.on('end', () => resolve(text)).on('error', reject);
		});
		request.end(body);
	});
}

async function readAll(socket) {
	let text = '';

	for await (const chunk of socket)
		text += chunk;
	return text;
}

// Sends and expects the echo of it.
async function echo(socket) {
	socket.end('over');
	assert.strictEqual(await readAll(socket), 'over');
}

async function http2Get(origin, path) {
	const session = http2.connect(origin);
	try {
		return await new Promise((resolve, reject) => {
			session.on('error', reject);
			const stream = session.request({ ':path': path });
			let text = '';
			stream.setEncoding('utf8').on('data', (chunk) => text += chunk).on('end', () => resolve(text)).on('error', reject);
		});
	} finally {
		session.close();
	}
}

const hello = (host) => new RegExp(`^hello ${host.replace(/\./g, '\\.')}`);

exports.kinds = {
	'net.connect(port, host)': async (host) => echo(net.connect(7, host)),
	'net.connect(options)': async (host) => {
		const socket = net.connect({ host, port: '7', noDelay: true, keepAlive: true, family: 4 });
		await once(socket, 'connect');
		assert.strictEqual(socket.remotePort, 7);
		assert.strictEqual(net.isIP(socket.remoteAddress), 4);
		await echo(socket);
	},
	'new net.Socket().connect': async (host) => echo(new net.Socket().connect(7, host)),
	'server speaks first': async (host) => {
		const socket = net.connect(21, host);
		const [greeting] = await once(socket, 'data');
		assert.strictEqual(String(greeting), '220 ready\r\n');
		socket.destroy();
	},
	'tls.connect(port, host)': async (host) => assert.strictEqual(await readAll(tls.connect(8, host)), `hello, sni ${host}`),
	'tls.connect(options)': async (host) => assert.strictEqual(
		await readAll(tls.connect({ port: 8, host, servername: host })), `hello, sni ${host}`),
	'tls over a socket of its own': async (host) => {
		const socket = net.connect(8, host);
		await once(socket, 'connect');
		assert.strictEqual(await readAll(tls.connect({ socket, servername: host })), `hello, sni ${host}`);
	},
	'tls over a socket that connects': async (host) => {
		const socket = net.connect(21, host);
		await once(socket, 'connect');
		socket.destroy();
		assert.strictEqual(await readAll(tls.connect({ socket: net.connect(8, host), servername: host, host })),
			`hello, sni ${host}`);
	},
	'https.get': async (host) => assert.match(await textOf(https.get(`https://${host}/`)), hello(host)),
	'https POST of 1 MB': async (host) => {
		const body = 'x'.repeat(1 << 20);
		assert.ok(await textOf(https.request(`https://${host}/echo`, { method: 'POST' }), body) === body);
	},
	'https with an agent of its own': async (host) => {
		const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
		for (let i = 0; i < 3; i++)
			assert.match(await textOf(https.get(`https://${host}/`, { agent })), hello(host));
		agent.destroy();
	},
	'https, agent: false': async (host) => assert.match(await textOf(https.get(`https://${host}/`, { agent: false })), hello(host)),
	'http.get': async (host) => assert.match(await textOf(http.get(`http://${host}/`)), hello(host)),
	'http with an agent of its own': async (host) => {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		for (let i = 0; i < 3; i++)
			assert.match(await textOf(http.get(`http://${host}/`, { agent })), hello(host));
		agent.destroy();
	},
	'fetch https': async (host) => assert.match(await (await fetch(`https://${host}/`)).text(), hello(host)),
	'fetch https, 8 MB': async (host) => assert.strictEqual(
		(await (await fetch(`https://${host}/big?bytes=${8 << 20}`)).arrayBuffer()).byteLength, 8 << 20),
	'fetch http': async (host) => assert.match(await (await fetch(`http://${host}/`)).text(), hello(host)),
	'fetch http, redirected': async (host) => assert.match(await (await fetch(`http://${host}/redirect`)).text(), hello(host)),
	WebSocket: {
		since: 22,
		run: async (host) => {
			const socket = new WebSocket(`wss://${host}/`);
			const { data } = await new Promise((resolve, reject) => {
				socket.onopen = () => socket.send('hi');
				socket.onmessage = resolve;
				socket.onerror = (event) => reject(event.error);
			});
			assert.strictEqual(data, 'echo hi');
			socket.close();
		},
		// the event tells no cause; since Node 24 it tells nothing
		denied: /non-101 status code|^TypeError/,
		bare: /non-101 status code|^TypeError/,
	},
	'http2 over TLS': async (host) => assert.match(await http2Get(`https://${host}`, '/'), hello(host)),
	'http2 in clear': async (host) => assert.match(await http2Get(`http://${host}:8080`, '/'), hello(host)),
	'dns.lookup, then connect': async (host) => {
		const { address, family } = await promisify(dns.lookup)(host);
		assert.strictEqual(net.isIP(address), family);
		await echo(net.connect(7, address));
	},
	'dns.lookup all, by IPv6': async (host) => {
		const [{ address, family }] = await dns.promises.lookup(host, { all: true, family: 6 });
		assert.strictEqual(family, 6);
		await echo(net.connect(7, address));
	},
	'dns.resolve4, then connect': {
		run: async (host) => echo(net.connect(7, (await promisify(dns.resolve4)(host))[0])),
		bare: /query\w* (?:ECONNREFUSED|ETIMEOUT)/,
	},
	'dns.promises.resolve6, then connect': {
		run: async (host) => echo(net.connect(7, (await dns.promises.resolve6(host))[0])),
		bare: /query\w* (?:ECONNREFUSED|ETIMEOUT)/,
	},
	'dns.Resolver': {
		run: async (host) => {
			const resolver = new dns.Resolver();
			const found = await new Promise((resolve, reject) => resolver.resolve(host, 'A',
				(error, addresses) => error ? reject(error) : resolve(addresses)));
			await echo(net.connect(7, found[0]));
		},
		bare: /query\w* (?:ECONNREFUSED|ETIMEOUT)/,
	},
	'dns.promises.Resolver': {
		run: async (host) => {
			const [{ address, ttl }] = await new dns.promises.Resolver().resolve4(host, { ttl: true });
			assert.ok(ttl > 0);
			await echo(net.connect(7, address));
		},
		bare: /query\w* (?:ECONNREFUSED|ETIMEOUT)/,
	},
};
