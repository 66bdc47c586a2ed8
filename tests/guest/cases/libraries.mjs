// HTTP and WebSocket clients from npm, as servers use them.
import assert from 'node:assert';
import { once } from 'node:events';

import { Client as McpClient } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import axios from 'axios';
import { EventSource } from 'eventsource';
import got from 'got';
import ky from 'ky';
import needle from 'needle';
import nodeFetch from 'node-fetch';
import superagent from 'superagent';
import { Agent, Client, fetch as undiciFetch, request, WebSocket as UndiciWebSocket } from 'undici';
import WebSocket from 'ws';

const hello = (host) => new RegExp(`^hello ${host.replace(/\./g, '\\.')}`);

async function webSocketEcho(url) {
	const socket = new WebSocket(url);

	await once(socket, 'open');
	socket.send('hi');
	const [data] = await once(socket, 'message');
	assert.strictEqual(String(data), 'echo hi');
	socket.close();
	await once(socket, 'close');
}

async function firstEvent(url) {
	const source = new EventSource(url);

	try {
		const event = await new Promise((resolve, reject) => {
			source.onmessage = resolve;
			source.onerror = (error) => reject(new Error(error.message));
		});
		assert.strictEqual(event.data, 'first');
	} finally {
		source.close();
	}
}

async function listTools(transport) {
	const client = new McpClient({ name: 'test', version: '0' });

	try {
		await client.connect(transport);
		assert.strictEqual((await client.listTools()).tools[0].name, 'greet');
	} finally {
		await client.close();
	}
}

async function withDispatcher(dispatcher, use) {
	try {
		await use(dispatcher);
	} finally {
		await dispatcher.destroy();
	}
}

export const kinds = {
	'undici request': async (host) => assert.match(await (await request(`https://${host}/`)).body.text(), hello(host)),
	'undici fetch': async (host) => assert.match(await (await undiciFetch(`https://${host}/`)).text(), hello(host)),
	'undici Agent': (host) => withDispatcher(new Agent({ connections: 2, connect: { timeout: 5000 } }), async (dispatcher) =>
		assert.match(await (await request(`https://${host}/`, { dispatcher })).body.text(), hello(host))),
	'undici Client, plain': (host) => withDispatcher(new Client(`http://${host}`), async (client) =>
		assert.match(await (await client.request({ path: '/', method: 'GET' })).body.text(), hello(host))),
	'undici h2': (host) => withDispatcher(new Agent({ allowH2: true }), async (dispatcher) =>
		assert.match(await (await undiciFetch(`https://${host}/`, { dispatcher })).text(), /over 2\.0/)),
	'undici WebSocket': {
		run: async (host) => {
			const socket = new UndiciWebSocket(`wss://${host}/`);
			const event = await new Promise((resolve, reject) => {
				socket.onopen = () => socket.send('hi');
				socket.onmessage = resolve;
				socket.onerror = (failed) => reject(failed.error);
			});
			assert.strictEqual(event.data, 'echo hi');
			socket.close();
		},
		denied: /non-101 status code/,
		bare: /non-101 status code/,
	},
	'undici, newest': {
		since: 22,
		run: async (host) => {
			const newest = await import('undici-newest');
			assert.match(await (await newest.request(`https://${host}/`)).body.text(), hello(host));
			assert.match(await (await newest.request(`http://${host}/`)).body.text(), hello(host));
		},
	},
	'ws, ws:': (host) => webSocketEcho(`ws://${host}/`),
	'ws, wss:': (host) => webSocketEcho(`wss://${host}/`),
	'axios https': async (host) => assert.match((await axios.get(`https://${host}/`)).data, hello(host)),
	'axios http': async (host) => assert.match((await axios.get(`http://${host}/redirect`)).data, hello(host)),
	'axios, fetch adapter': async (host) =>
		assert.match((await axios.get(`https://${host}/`, { adapter: 'fetch' })).data, hello(host)),
	'node-fetch': async (host) => assert.match(await (await nodeFetch(`https://${host}/`)).text(), hello(host)),
	got: async (host) => assert.match(await got(`https://${host}/`, { retry: { limit: 0 } }).text(), hello(host)),
	'got with a DNS cache': async (host) =>
		assert.match(await got(`https://${host}/`, { dnsCache: true, retry: { limit: 0 } }).text(), hello(host)),
	'got h2': async (host) =>
		assert.match(await got(`https://${host}/`, { http2: true, retry: { limit: 0 } }).text(), /over 2\.0/),
	'got, newest': {
		since: 22,
		run: async (host) => {
			const { default: newest } = await import('got-newest');
			assert.match(await newest(`https://${host}/`, { retry: { limit: 0 } }).text(), hello(host));
		},
	},
	superagent: async (host) => assert.match((await superagent.get(`https://${host}/`)).text, hello(host)),
	needle: async (host) => assert.match(String((await needle('get', `https://${host}/`)).body), hello(host)),
	ky: async (host) => assert.match(await ky(`https://${host}/`, { retry: 0 }).text(), hello(host)),
	eventsource: (host) => firstEvent(`https://${host}/events`),
	'MCP Streamable HTTP': (host) => listTools(new StreamableHTTPClientTransport(new URL(`https://${host}/mcp`))),
	'MCP SSE': (host) => listTools(new SSEClientTransport(new URL(`https://${host}/sse`))),
};
