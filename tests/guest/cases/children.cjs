// Children and workers, and what environment they are given.
'use strict';

const assert = require('assert');
const children = require('child_process');
const path = require('path');
const { once } = require('events');
const { promisify } = require('util');
const { SHARE_ENV, Worker } = require('worker_threads');

const child = path.join(__dirname, 'child.cjs');
// Where npxc's own sentence cannot come through: these programs tell the status of a refused CONNECT only.
const denied = /403/;
const bare = /Could not resolve host/;

function check(text, host) {
	if (!String(text).startsWith(`hello ${host}`))
		throw new Error(`the child said: ${text}`);
}

async function messageOf(emitter, host) {
	const [text] = await once(emitter, 'message');
	check(text, host);
}

// What ended with a status other than 0 tells on stderr why.
const outputOf = (run) => {
	try {
		return String(run());
	} catch (error) {
		return `${error.stdout}${error.stderr}`;
	}
};

const python = 'import sys,urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())';

exports.kinds = {
	// first, so that the relay is not there yet
	'execSync curl': {
		denied, bare,
		run: (host) => check(outputOf(() => children.execSync(`curl -sS https://${host}/`, { stdio: 'pipe' })), host),
	},
	'execFile curl, http': {
		bare,
		denied: /npxc: evil\.test:80 is not in the allow list/,
		run: async (host) => check((await promisify(children.execFile)('curl', ['-sS', `http://${host}/`])).stdout, host),
	},
	'spawn curl, environment of its own': {
		denied, bare,
		run: async (host) => {
			const { PATH, CURL_CA_BUNDLE } = process.env;
			const process_ = children.spawn('curl', ['-sS', `https://${host}/`], { env: { PATH, CURL_CA_BUNDLE } });
			let text = '';
			for (const stream of [process_.stdout, process_.stderr])
				stream.on('data', (chunk) => text += chunk);
			await once(process_, 'close');
			check(text, host);
		},
	},
	'spawnSync git': {
		denied, bare,
		run: (host) => {
			const { stdout, stderr } = children.spawnSync('git', ['ls-remote', `https://${host}/repo.git`], { encoding: 'utf8' });
			assert.match(stdout, /refs\/heads\/main/, stderr);
		},
	},
	'execFileSync python': {
		bare: /Temporary failure in name resolution/,
		denied: /npxc: evil\.test:443 is not in the allow list/,
		run: (host) => check(outputOf(() => children.execFileSync('/usr/bin/python3', ['-c', python, `https://${host}/`],
			{ stdio: 'pipe' })), host),
	},
	'python, http': {
		bare: /Temporary failure in name resolution/,
		denied: /npxc: evil\.test:80 is not in the allow list/,
		run: (host) => check(outputOf(() => children.execFileSync('/usr/bin/python3', ['-c', python, `http://${host}/`],
			{ stdio: 'pipe' })), host),
	},
	fork: (host) => messageOf(children.fork(child, [`https://${host}/`]), host),
	'fork, environment of its own': (host) => messageOf(children.fork(child, [`https://${host}/`],
		{ env: { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS } }), host),
	'spawn node': async (host) =>
		check((await promisify(children.execFile)(process.execPath, [child, `https://${host}/`])).stdout, host),
	'exec node, by a shell': async (host) =>
		check((await promisify(children.exec)(`"${process.execPath}" ${child} https://${host}/`)).stdout, host),
	'spawnSync node --no-addons': (host) =>
		check(children.spawnSync(process.execPath, ['--no-addons', child, `https://${host}/`]).stdout, host),
	'node, NODE_OPTIONS of its own': (host) => check(children.execFileSync(process.execPath, [child, `https://${host}/`],
		{ env: { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS, NODE_OPTIONS: '--no-warnings' } }), host),
	'a shell that starts node and curl': {
		bare: /EAI_AGAIN/,
		denied: /npxc: evil\.test:443 is not in the allow list[^]*403/,
		run: (host) => {
			const text = outputOf(() => children.execSync(
				`"${process.execPath}" ${child} https://${host}/; curl -sS https://${host}/`, { stdio: 'pipe' }));
			check(text, host);
			assert.strictEqual(text.split('hello ').length, 3);
		},
	},
	Worker: (host) => messageOf(new Worker(child, { workerData: `https://${host}/` }), host),
	'Worker, execArgv: []': (host) => messageOf(new Worker(child, { workerData: `https://${host}/`, execArgv: [] }), host),
	'Worker, environment of its own': (host) => messageOf(new Worker(child, { workerData: `https://${host}/`, env: {} }), host),
	...Object.fromEntries([['execArgv: []', { execArgv: [] }], ['shared environment', { env: SHARE_ENV, execArgv: [] }], ['as it comes', {}]].map(([name, options]) =>
		[`Worker, ${name}, after the program has cleared NODE_OPTIONS`, async (host) => {
			const before = { ...process.env };
			try {
				for (const variable of ['NODE_OPTIONS', 'NPXC_EGRESS', 'NPXC_EGRESS_TOKEN'])
					delete process.env[variable];
				await messageOf(new Worker(child, { workerData: `https://${host}/`, ...options }), host);
			} finally {
				Object.assign(process.env, before);
			}
		}])),
	'spawn node, with this file\'s path in NODE_OPTIONS as something else': (host) => check(children.execFileSync(process.execPath, [child, `https://${host}/`],
		{ env: { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS, NODE_OPTIONS: '--title=/run/npxc/egress.cjs' } }), host),
	'class of a Worker': (host) => {
		class Mine extends Worker {
			isMine() {
				return true;
			}
		}
		const worker = new Mine(child, { workerData: `https://${host}/` });
		assert.ok(worker.isMine() && worker instanceof Worker);
		return messageOf(worker, host);
	},
	'curl in a Worker': {
		denied, bare,
		run: async (host) => {
			const text = 'const c = require("child_process"), w = require("worker_threads");' +
				'try { w.parentPort.postMessage(String(c.execSync(w.workerData, { stdio: "pipe" }))) }' +
				'catch (error) { w.parentPort.postMessage(String(error.stderr)) }';
			await messageOf(new Worker(text, { eval: true, workerData: `curl -sS https://${host}/` }), host);
		},
	},
	'MCP stdio client': {
		// the environment that the SDK gives its servers is a short list
		run: async (host) => {
			const { StdioClientTransport } = await import('@modelcontextprotocol/sdk/client/stdio.js');
			const transport = new StdioClientTransport({ command: process.execPath, args: [child, `https://${host}/`, 'mcp'],
				env: { NODE_EXTRA_CA_CERTS: process.env.NODE_EXTRA_CA_CERTS } });
			const said = new Promise((resolve) => transport.onmessage = resolve);
			await transport.start();
			check((await said).params.text, host);
			await transport.close();
		},
	},
};
