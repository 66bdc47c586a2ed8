// ES modules, whose named imports are bound before anything of theirs runs.
import assert from 'node:assert';
import { execFileSync } from 'node:child_process';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';
import { connect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const child = fileURLToPath(new URL('child.cjs', import.meta.url));

const statusOf = async (request) => {
	const [response] = await once(request, 'response');
	response.resume();
	await once(response, 'end');
	return response.statusCode;
};

const echo = async (socket) => {
	socket.end('over');
	assert.strictEqual(String(await once(socket, 'data')), 'over');
};

export const kinds = {
	'import { get } from https': async (host) => assert.strictEqual(await statusOf(httpsGet(`https://${host}/`)), 200),
	'import { get } from http': async (host) => assert.strictEqual(await statusOf(httpGet(`http://${host}/`)), 200),
	'import { connect } from net': async (host) => echo(connect(7, host)),
	'import { connect } from tls': async (host) => assert.strictEqual(
		String(await once(tlsConnect(8, host), 'data')), `hello, sni ${host}`),
	'import { execFileSync } from child_process': (host) => assert.match(String(execFileSync(process.execPath,
		[child, `https://${host}/`], { env: { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS } })), /^hello/),
	'import { Worker } from worker_threads': async (host) => assert.match(
		String(await once(new Worker(child, { workerData: `https://${host}/`, env: {} }), 'message')), /^hello/),
	'import { lookup } from dns/promises': async (host) => echo(connect(7, (await lookup(host)).address)),
};
