// Clients of other protocols, against servers that speak just enough of them.
'use strict';

const assert = require('assert');
const grpc = require('@grpc/grpc-js');
const Redis = require('ioredis');
const pg = require('pg');

async function query(config) {
	const client = new pg.Client({ user: 'u', database: 'd', ...config });

	await client.connect();
	try {
		assert.deepStrictEqual((await client.query('select this')).rows, [{ said: 'select this' }]);
	} finally {
		await client.end();
	}
}

async function get(Client, options) {
	const client = new Client({ lazyConnect: true, retryStrategy: null, maxRetriesPerRequest: 0, ...options });
	let failed;

	client.on('error', (error) => failed = error);
	try {
		await client.connect();
		assert.strictEqual(await client.get('key'), 'value of key');
	} catch (error) {
		throw failed || error;
	} finally {
		client.disconnect();
	}
}

function call(address, credentials) {
	const service = { echo: { path: '/test.Echo/echo', requestStream: false, responseStream: false,
		requestSerialize: (text) => Buffer.from(text), requestDeserialize: String,
		responseSerialize: (text) => Buffer.from(text), responseDeserialize: String } };
	const Client = grpc.makeGenericClientConstructor(service, 'Echo');
	const client = new Client(address, credentials);

	return new Promise((resolve, reject) => client.echo('hi', (error, answer) => error ? reject(error) : resolve(answer)))
		.then((answer) => assert.strictEqual(answer, 'echo hi'))
		.finally(() => client.close());
}

exports.kinds = {
	pg: (host) => query({ host, port: 5432 }),
	'pg with ssl': (host) => query({ host, port: 5432, ssl: true }),
	'pg Pool by URL': async (host) => {
		const pool = new pg.Pool({ connectionString: `postgres://u@${host}/d` });
		try {
			assert.deepStrictEqual((await pool.query('again')).rows, [{ said: 'again' }]);
		} finally {
			await pool.end();
		}
	},
	ioredis: (host) => get(Redis, { host, port: 6379 }),
	'ioredis with TLS': (host) => get(Redis, { host, port: 6380, tls: {} }),
	'ioredis, newest': { since: 20, run: (host) => get(require('ioredis-newest'), { host, port: 6379 }) },
	'grpc-js, insecure': { run: (host) => call(`${host}:50051`, grpc.credentials.createInsecure()),
		bare: /Name resolution failed/ },
	'grpc-js, TLS': { run: (host) => call(`${host}:50052`, grpc.credentials.createSsl(
		require('fs').readFileSync(process.env.NODE_EXTRA_CA_CERTS))), bare: /Name resolution failed/ },
};
