// The malicious server. It does what the test tells it, one job per request, and says what it saw:
//
//   {"jsonrpc":"2.0","id":1,"method":"attack/do","params":{"job":BASE64 OF JSON}}
//
// Base64, so that nothing on the way takes a path in it for one of its own. It runs with nothing of npxc's loaded (start.sh
// sees to that): whatever a guest is given to be nice with, an attacker leaves aside.
'use strict';
const net = require('net');
const dgram = require('dgram');
const dns = require('dns');
const fs = require('fs');
const path = require('path');
const { spawn } = require('child_process');

const KEPT = 64 * 1024; // bytes of what came that are told
const held = new Map(); // name -> sockets

const egress = () => process.env.NPXC_EGRESS || '';
const credentials = () => (process.env.NPXC_EGRESS_TOKEN
	? 'Proxy-Authorization: Basic ' + Buffer.from('npxc:' + process.env.NPXC_EGRESS_TOKEN).toString('base64') + '\r\n' : '');

function egressAddress() {
	const where = egress();
	if (where.startsWith('unix:')) return { path: where.slice(5) };
	const at = where.lastIndexOf(':');
	return { host: where.slice(4, at).replace(/^\[|\]$/g, ''), port: Number(where.slice(at + 1)) };
}

// A connection with everything that happens to it, in a form that can be awaited.
class Flow {
	constructor(options) {
		this.received = Buffer.alloc(0);
		this.total = 0;
		this.before = 0; // of it, when something was sent last
		this.end = null; // how it ended
		this.waiting = [];
		this.socket = net.connect({ ...options, allowHalfOpen: true });
		this.socket.setNoDelay(true);
		this.connected = new Promise((resolve) => {
			const timer = setTimeout(() => resolve('silence'), 15000);
			this.socket.once('connect', () => { clearTimeout(timer); resolve(null); });
			this.socket.on('error', (why) => {
				this.end = this.end || why.code;
				clearTimeout(timer);
				resolve(why.code);
				this.look();
			});
		});
		this.socket.on('data', (data) => {
			this.total += data.length;
			if (this.received.length < KEPT) this.received = Buffer.concat([this.received, data]);
			this.look();
		});
		this.socket.on('end', () => { this.end = this.end || 'end'; this.look(); });
		this.socket.on('close', () => { this.end = this.end || 'close'; this.look(); });
	}

	// Reads nothing any more: its bytes pile up on the way.
	ignore() {
		this.socket.removeAllListeners('data');
		this.socket.pause();
	}

	look() {
		for (const check of this.waiting) check();
	}

	// True when the condition came to be, false when the connection ended or the time was over before.
	until(condition, ms) {
		return new Promise((resolve) => {
			const finish = (found) => {
				clearTimeout(timer);
				this.waiting = this.waiting.filter((other) => other !== check);
				resolve(found);
			};
			const check = () => {
				if (condition()) finish(true);
				else if (this.end) finish(false);
			};
			const timer = setTimeout(() => { this.late = true; finish(false); }, ms);
			this.waiting.push(check);
			check();
		});
	}

	// The first byte of an answer to what was sent last, or the end; then, shortly, whether an end follows.
	async settle(ms) {
		if (await this.until(() => this.total > this.before, ms)) await this.until(() => this.end, 300).then(() => { this.late = false; });
	}

	write(data) {
		return new Promise((resolve) => {
			if (this.end && this.end !== 'end') resolve();
			else this.socket.write(data, () => resolve());
		});
	}

	async send(data, chunk) {
		this.before = this.total;
		for (let at = 0; at < data.length && (!this.end || this.end === 'end'); at += chunk || data.length) {
			await this.write(data.subarray(at, at + (chunk || data.length)));
			if (chunk) await new Promise(setImmediate);
		}
	}

	result(more) {
		return { ...more, end: this.end || (this.late ? 'silence' : 'open'), received: this.received.toString('hex'), total: this.total };
	}
}

// [{"send": hex, "chunk": n}, {"drip": hex, "ms": between bytes}, {"await": hex, "ms"}, {"bytes": n, "ms"}, {"settle": ms},
//  {"finish": true}, {"closed": ms}]
async function play(flow, steps, from = 0) {
	for (const step of steps) {
		if ('send' in step) await flow.send(Buffer.from(step.send, 'hex'), step.chunk);
		else if ('drip' in step) {
			for (const byte of Buffer.from(step.drip, 'hex')) {
				if (await flow.until(() => flow.end, step.ms) || flow.end) break;
				await flow.write(Buffer.from([byte]));
			}
			flow.late = false;
		} else if ('await' in step) {
			const wanted = Buffer.from(step.await, 'hex');
			await flow.until(() => flow.received.indexOf(wanted, from) >= 0, step.ms || 8000);
		} else if ('bytes' in step) await flow.until(() => flow.total - from >= step.bytes, step.ms || 8000);
		else if ('settle' in step) await flow.settle(step.settle);
		else if ('finish' in step) flow.socket.end();
		else if ('closed' in step) await flow.until(() => flow.end, step.closed);
	}
}

function lookup(name, family) {
	return new Promise((resolve) => dns.lookup(name, { all: true, family: family || 0 }, (why, found) => resolve([why && why.code, found])));
}

// The network's end next to the guest: what npxc told it, else the default route.
function gateway() {
	const address = egress() && egressAddress().host;
	if (address) return address;
	for (const line of fs.readFileSync('/proc/net/route', 'utf8').split('\n')) {
		const [, target, hex] = line.split('\t');
		if (target === '00000000') return hex.match(/../g).reverse().map((two) => parseInt(two, 16)).join('.');
	}
	return '0.0.0.0';
}

// Its IPv6 address, which answers when all nodes of the cable are asked (RFC 4291, 2.7.1), once both ends may use theirs.
function linkLocal(payload) {
	const device = Object.keys(require('os').networkInterfaces()).find((name) => name !== 'lo');
	const socket = dgram.createSocket('udp6');
	return new Promise((resolve) => {
		let left = 20;
		const finish = (address) => {
			clearInterval(timer);
			socket.close();
			resolve(address);
		};
		const timer = setInterval(() => {
			if (left-- === 0) finish('::');
			else socket.send(payload, 7102, 'ff02::1%' + device, () => {});
		}, 300);
		socket.on('error', () => finish('::'));
		socket.on('message', (data, peer) => finish(peer.address.split('%')[0] + '%' + device));
	});
}

async function place(host, payload) {
	return host === '@GATEWAY@' ? gateway() : host === '@LINKLOCAL@' ? linkLocal(payload) : host;
}

async function openFlow(given) {
	const job = { ...given, host: given.host && await place(given.host, given.steps && given.steps[0] && Buffer.from(given.steps[0].send || '', 'hex')) };
	if (job.way === 'egress') { // the bare connection to the egress process
		const flow = new Flow(egressAddress());
		const error = await flow.connected;
		return { flow, error, stage: 'egress' };
	}
	if (job.way === 'direct' || (net.isIP(job.host) && !egress())) {
		const flow = new Flow({ host: job.host, port: job.port, localAddress: job.from });
		return { flow, error: await flow.connected, stage: 'connect', address: job.host };
	}
	if (!egress()) {
		const [why, found] = await lookup(job.host, job.family);
		if (why) return { error: why, stage: 'lookup' };
		const flow = new Flow({ host: found[0].address, port: job.port });
		return { flow, error: await flow.connected, stage: 'connect', address: found[0].address };
	}
	const flow = new Flow(egressAddress());
	const error = await flow.connected;
	if (error) return { flow, error, stage: 'egress' };
	const host = net.isIPv6(job.host) ? '[' + job.host + ']' : job.host;
	const head = 'CONNECT ' + host + ':' + job.port + ' HTTP/1.1\r\n' + credentials() + '\r\n';
	await flow.send(Buffer.concat([Buffer.from(head), Buffer.from(job.early || '', 'hex')]));
	await flow.until(() => flow.received.indexOf('\r\n\r\n') >= 0, 12000);
	const at = flow.received.indexOf('\r\n\r\n');
	const status = flow.received.subarray(0, at < 0 ? undefined : at).toString('latin1');
	if (!/^HTTP\/1\.1 200 /.test(status)) {
		await flow.until(() => flow.end, 2000);
		return { flow, error: status.split(' ')[1] || 'no answer', stage: 'connect', status };
	}
	return { flow, error: null, stage: 'connect', status, from: at + 4 };
}

const jobs = {
	// {way: "direct"|"egress"|undefined, host, port, from, early, steps}
	async flow(job) {
		const opened = await openFlow(job);
		const about = { stage: opened.stage, error: opened.error, status: opened.status, address: opened.address };
		if (opened.error) {
			if (opened.flow) opened.flow.socket.destroy();
			return opened.flow ? opened.flow.result(about) : about;
		}
		await play(opened.flow, fill(job.steps || []), opened.from);
		const seen = opened.flow.result({ ...about, stage: 'flow', head: opened.from || 0 });
		if (job.hold) hold(job.hold, opened.flow.socket);
		else opened.flow.socket.destroy();
		return seen;
	},

	// Many of them at once, held until they are released: {count, hold, unread, wide, ...as flow}
	async many(job) {
		const outcomes = {};
		let left = job.count;
		const one = async () => {
			while (left-- > 0) {
				const opened = await openFlow(job);
				let outcome = opened.error || 'open';
				if (!opened.error) {
					if (job.unread) opened.flow.ignore();
					await play(opened.flow, fill(job.steps || []), opened.from);
					hold(job.hold, opened.flow.socket);
				} else if (opened.flow) opened.flow.socket.destroy();
				outcomes[outcome] = (outcomes[outcome] || 0) + 1;
			}
		};
		await Promise.all(Array.from({ length: job.wide || 50 }, one));
		return { outcomes };
	},

	async release(job) {
		const sockets = held.get(job.hold) || [];
		for (const socket of sockets) socket.destroy();
		held.delete(job.hold);
		return { released: sockets.length };
	},

	// {host, port, payload: hex, ms}
	async udp(job) {
		let host = await place(job.host, '');
		if (!net.isIP(host)) {
			const [why, found] = await lookup(host, 4);
			if (why) return { stage: 'lookup', error: why };
			host = found[0].address;
		}
		const socket = dgram.createSocket(net.isIPv6(host) ? 'udp6' : 'udp4');
		return new Promise((resolve) => {
			const finish = (what) => {
				clearTimeout(timer);
				socket.close();
				resolve({ address: host, ...what });
			};
			const timer = setTimeout(() => finish({ stage: 'sent', error: 'silence' }), job.ms || 1500);
			socket.on('error', (why) => finish({ stage: 'socket', error: why.code }));
			socket.on('message', (data, peer) => finish({ stage: 'answered', error: null, received: data.toString('hex'), by: peer.address }));
			socket.connect(job.port, host, (why) => {
				if (why) return finish({ stage: 'connect', error: why.code });
				socket.send(Buffer.from(job.payload, 'hex'), (bad) => bad && finish({ stage: 'send', error: bad.code }));
			});
		});
	},

	async wait(job) {
		return new Promise((resolve) => setTimeout(() => resolve({}), job.ms));
	},

	// {name, family}: the guest's own resolver
	async lookup(job) {
		const [error, found] = await lookup(job.name, job.family);
		return { error, addresses: (found || []).map((one) => one.address) };
	},

	// {words}: the static helper
	async raw(job) {
		const seen = await run(path.join(__dirname, 'raw'), job.words, job.ms || 8000, process.env);
		let answer = {};
		try {
			answer = JSON.parse(seen.out);
		} catch {
			answer = { step: 'none', error: seen.signal || seen.err };
		}
		return { ...answer, signal: seen.signal };
	},

	// {command, ms, env}
	async shell(job) {
		return run('/bin/sh', ['-c', job.command], job.ms || 50000, { ...process.env, HERE: __dirname, ...job.env });
	},

	// The same program with npxc's preload in it, as an honest server has: {script}
	async polite(job) {
		return run(process.execPath, ['-e', job.script], job.ms || 50000, { ...process.env, HERE: __dirname,
			NODE_EXTRA_CA_CERTS: path.join(__dirname, 'ca.pem'), NODE_OPTIONS: process.env.ATTACK_NODE_OPTIONS || '', ...job.env });
	},

	// Every socket in the file system, and what a connection to it says.
	async sockets() {
		const found = [];
		const visit = (directory, depth) => {
			let entries = [];
			try {
				entries = fs.readdirSync(directory, { withFileTypes: true });
			} catch {
				return;
			}
			for (const entry of entries) {
				const full = path.join(directory, entry.name);
				if (entry.isSocket()) found.push(full);
				else if (entry.isDirectory() && depth < 8 && !/^\/(proc|sys|usr\/share|usr\/lib)\b/.test(full)) visit(full, depth + 1);
			}
		};
		visit('/', 0);
		const answers = {};
		for (const one of found) answers[one] = await new Flow({ path: one }).connected;
		return { sockets: answers };
	},

	async about() {
		const read = (file) => {
			try {
				return fs.readFileSync(file, 'utf8');
			} catch {
				return null;
			}
		};
		return { egress: egress(), uid: process.getuid && process.getuid(), resolv: read('/etc/resolv.conf'), route: read('/proc/net/route'),
			interfaces: Object.keys(require('os').networkInterfaces()), node: process.version, status: read('/proc/self/status') };
	},
};

function hold(name, socket) {
	if (!held.has(name)) held.set(name, []);
	held.get(name).push(socket);
	socket.on('error', () => {});
}

// "@AUTH@" in what is sent is the line with the session's token, where the link has one.
function fill(steps) {
	const mark = Buffer.from('@AUTH@').toString('hex');
	const line = Buffer.from(credentials()).toString('hex');
	return steps.map((step) => ('send' in step && step.send.includes(mark) ? { ...step, send: step.send.split(mark).join(line) } : step));
}

function run(program, words, ms, env) {
	return new Promise((resolve) => {
		const child = spawn(program, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
		const kept = { out: '', err: '' };
		const timer = setTimeout(() => child.kill('SIGKILL'), ms);
		child.stdout.on('data', (data) => { if (kept.out.length < KEPT) kept.out += data; });
		child.stderr.on('data', (data) => { if (kept.err.length < KEPT) kept.err += data; });
		child.on('error', (why) => { clearTimeout(timer); resolve({ ...kept, status: null, signal: why.code }); });
		child.on('close', (status, signal) => { clearTimeout(timer); resolve({ ...kept, status, signal }); });
	});
}

async function answer(line) {
	const request = JSON.parse(line);
	if (request.id === undefined) return;
	let result;
	try {
		const job = JSON.parse(Buffer.from(request.params.job, 'base64').toString());
		const began = process.hrtime.bigint();
		result = await jobs[job.do](job);
		result.ms = Number((process.hrtime.bigint() - began) / 1000000n);
	} catch (why) {
		result = { problem: String(why && why.stack) };
	}
	process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id: request.id, result: { seen: Buffer.from(JSON.stringify(result)).toString('base64') } }) + '\n');
}

let pending = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (data) => {
	const lines = (pending + data).split('\n');
	pending = lines.pop();
	for (const line of lines) if (line.trim()) answer(line);
});
process.stdin.on('end', () => process.exit(0));
process.stderr.write('attacker ready\n');
