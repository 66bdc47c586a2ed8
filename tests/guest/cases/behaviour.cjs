// What a socket does on its way out, as it does without a proxy; and what must be left alone. Each is looked at once.
'use strict';

const assert = require('assert');
const dgram = require('dgram');
const dns = require('dns');
const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');
const tls = require('tls');
const { once } = require('events');
const { promisify } = require('util');

async function readAll(socket) {
	let text = '';

	for await (const chunk of socket)
		text += chunk;
	return text;
}

// The error of a socket that must not connect; what else it emits on the way.
async function errorOf(socket) {
	const error = await new Promise((resolve, reject) => {
		let failed;
		socket.once('connect', () => reject(new Error('it connected')));
		socket.once('error', (caught) => failed = caught);
		socket.once('close', () => resolve(failed));
	});

	assert.strictEqual(socket.connecting, false);
	return error;
}

async function withServer(server, address, use) {
	server.listen(address);
	await once(server, 'listening');
	try {
		await use(server.address());
	} finally {
		server.close();
	}
}

exports.checks = {
	'written before it connects': async () => {
		const socket = net.connect(7, 'api.test');
		const order = [];
		socket.on('connect', () => order.push('connect'));
		socket.write('one ', () => order.push('written'));
		socket.write('two ');
		socket.end('three', () => order.push('finished'));
		assert.strictEqual(socket.connecting && socket.pending && socket.readyState === 'opening', true);
		assert.strictEqual(await readAll(socket), 'one two three');
		assert.deepStrictEqual(order, ['connect', 'written', 'finished']);
	},
	'ended before it connects': async () => {
		const socket = net.connect(7, 'api.test');
		socket.end();
		assert.strictEqual(await readAll(socket), '');
	},
	'events in order, once each': async () => {
		const socket = net.connect(21, 'api.test');
		const seen = [];
		for (const name of ['connect', 'ready', 'data', 'error', 'close'])
			socket.on(name, () => seen.push(name));
		await once(socket, 'data');
		assert.ok(!Object.prototype.hasOwnProperty.call(socket, 'emit'), 'emit is the prototype\'s again');
		socket.destroy();
		await once(socket, 'close');
		assert.deepStrictEqual(seen, ['connect', 'ready', 'data', 'close']);
	},
	'what was looked up is told, as Node does': async () => {
		const lookupsOf = async (socket) => {
			const seen = [];
			for (const name of ['lookup', 'connect', 'error'])
				socket.on(name, (...args) => seen.push(name === 'lookup' ? ['lookup', args[0] && args[0].code, net.isIP(args[1]), ...args.slice(2)] : name));
			await new Promise((resolve) => socket.on('connect', resolve).on('error', resolve));
			socket.destroy();
			return seen;
		};
		const [{ address }] = await dns.promises.lookup('api.test', { all: true });
		assert.deepStrictEqual(await lookupsOf(net.connect(7, 'api.test')), [['lookup', null, 4, 4, 'api.test'], 'connect']);
		assert.deepStrictEqual(await lookupsOf(net.connect({ port: 7, host: 'api.test', family: 6 })), [['lookup', null, 6, 6, 'api.test'], 'connect']);
		assert.deepStrictEqual(await lookupsOf(net.connect(7, address)), ['connect']);
		assert.deepStrictEqual(await lookupsOf(net.connect(1, 'api.test')), [['lookup', null, 4, 4, 'api.test'], 'error']);
		assert.deepStrictEqual(await lookupsOf(net.connect(443, 'nowhere.test')), [['lookup', 'ENOTFOUND', 0, undefined, 'nowhere.test'], 'error']);
		assert.deepStrictEqual((await lookupsOf(tls.connect(8, 'api.test')))[0], ['lookup', null, 4, 4, 'api.test']);
		const request = http.get('http://api.test/');
		request.on('response', (response) => response.resume());
		const [socket] = await once(request, 'socket');
		assert.deepStrictEqual((await once(socket, 'lookup')).slice(2), [4, 'api.test']);
		await once(request, 'close');
	},
	'destroyed when it was looked up': async () => {
		const socket = net.connect(7, 'api.test');
		socket.on('connect', () => assert.fail('it connected'));
		socket.on('lookup', () => socket.destroy());
		await once(socket, 'close');
	},
	'the callback of connect, and a socket that is reused': async () => {
		const socket = new net.Socket();
		for (let i = 0; i < 3; i++) {
			await new Promise((resolve) => socket.connect({ host: 'api.test', port: 7 }, resolve));
			socket.write(`again ${i}`);
			assert.strictEqual(String(await once(socket, 'data')), `again ${i}`);
			socket.destroy();
			await once(socket, 'close');
		}
		socket.connect(7, 'evil.test');
		assert.strictEqual((await errorOf(socket)).code, 'EACCES');
		socket.connect(7, 'api.test');
		await once(socket, 'connect');
		socket.destroy();
	},
	'paused before it connects': async () => {
		const socket = net.connect(21, 'api.test');
		let early = true;
		socket.pause();
		socket.on('data', () => assert.ok(!early));
		await once(socket, 'connect');
		await new Promise((resolve) => setTimeout(resolve, 50));
		early = false;
		socket.resume();
		assert.strictEqual(String(await once(socket, 'data')), '220 ready\r\n');
		socket.destroy();
	},
	'setEncoding before it connects': async () => {
		const socket = net.connect(21, 'api.test').setEncoding('latin1');
		assert.deepStrictEqual(await once(socket, 'data'), ['220 ready\r\n']);
		socket.destroy();
	},
	'allowHalfOpen': async () => {
		const socket = net.connect({ host: 'api.test', port: 7, allowHalfOpen: true });
		socket.write('hi');
		assert.strictEqual(String(await once(socket, 'data')), 'hi');
		socket.end();
		await once(socket, 'end');
	},
	'a read buffer of the caller': async () => {
		for (const port of [21, 7]) {
			let text = '';
			const buffer = Buffer.alloc(4);
			const socket = net.connect({ host: 'api.test', port, onread: { buffer, callback(length, from) {
				assert.strictEqual(from, buffer);
				text += from.toString('latin1', 0, length);
			} } });
			const expected = port === 7 ? 'a longer line' : '220 ready\r\n';
			if (port === 7)
				socket.write(expected);
			while (text.length < expected.length)
				await new Promise((resolve) => setTimeout(resolve, 5));
			assert.strictEqual(text, expected);
			socket.destroy();
		}
	},
	'a timeout while it connects': async () => {
		const socket = net.connect({ host: 'slow.test', port: 7, timeout: 50 });
		await once(socket, 'timeout');
		assert.ok(socket.connecting);
		socket.destroy();
		await once(socket, 'close');
	},
	'a signal while it connects': async () => {
		const socket = net.connect({ host: 'slow.test', port: 7, signal: AbortSignal.timeout(50) });
		assert.match((await errorOf(socket)).name, /AbortError|TimeoutError/);
		await assert.rejects(fetch('https://slow.test/', { signal: AbortSignal.timeout(50) }), /aborted/);
	},
	'destroyed while it connects': async () => {
		const socket = net.connect(7, 'slow.test');
		socket.destroy();
		await once(socket, 'close');
		const secured = tls.connect(443, 'slow.test');
		secured.destroy();
		await once(secured, 'close');
	},
	'does not keep the program alive when unref': async () => {
		// the end of this program is the proof
		net.connect(7, 'slow.test').unref();
		tls.connect(443, 'slow.test').unref();
		const agent = new https.Agent({ keepAlive: true });
		const [response] = await once(https.get('https://api.test/', { agent }), 'response');
		response.resume();
		await once(response, 'end');
	},
	'two hundred at a time': async () => {
		const answers = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
			const socket = net.connect(7, 'api.test');
			socket.end(String(i));
			return readAll(socket);
		}));
		assert.deepStrictEqual(answers, Array.from({ length: 200 }, (_, i) => String(i)));
	},
	'a sandbox address of IPv4 or IPv6': async () => {
		// allowed by rules of addresses, and refused for want of servers only where the test's proxy has none
		for (const address of ['192.0.2.7', '2606:4700::1']) {
			const socket = net.connect(7, address);
			await once(socket, 'connect');
			assert.strictEqual(socket.remoteAddress, address);
			socket.destroy();
		}
		assert.strictEqual((await errorOf(net.connect(7, '192.0.2.8'))).message,
			'connect EACCES 192.0.2.8:7 (npxc: 192.0.2.8:7 is not in the allow list)');
	},
	'names are written in one way': async () => {
		const socket = net.connect(7, 'API.Test.');
		socket.end('hi');
		assert.strictEqual(await readAll(socket), 'hi');
		assert.match((await errorOf(net.connect(7, 'b\u00fccher.test'))).message, /xn--bcher-kva\.test:7 is not in the allow list/);
	},

	'refused: the error of net': async () => {
		const error = await errorOf(net.connect(7, 'evil.test'));
		const { code, errno, syscall, address, port, message } = error;
		assert.deepStrictEqual({ code, errno, syscall, address, port, message }, { code: 'EACCES', errno: -13, syscall: 'connect',
			address: 'evil.test', port: 7, message: 'connect EACCES evil.test:7 (npxc: evil.test:7 is not in the allow list)' });
	},
	'refused: the error of tls': async () => {
		const error = await errorOf(tls.connect(8, 'evil.test'));
		assert.strictEqual(error.message, 'connect EACCES evil.test:8 (npxc: evil.test:8 is not in the allow list)');
	},
	'refused: the error of fetch': async () => {
		const error = await fetch('https://evil.test/').catch((caught) => caught);
		assert.strictEqual(error.message, 'fetch failed');
		assert.strictEqual(error.cause.message, 'connect EACCES evil.test:443 (npxc: evil.test:443 is not in the allow list)');
	},
	'refused by the server': async () => {
		const error = await errorOf(net.connect(1, 'api.test'));
		assert.strictEqual(error.message, 'connect ECONNREFUSED api.test:1 (npxc: api.test:1 refused the connection)');
		assert.strictEqual(error.code, 'ECONNREFUSED');
	},
	'no such name': async () => {
		const error = await errorOf(net.connect(443, 'nowhere.test'));
		const { code, errno, syscall, hostname, message } = error;
		assert.deepStrictEqual({ code, errno, syscall, hostname, message }, { code: 'ENOTFOUND', errno: -3008,
			syscall: 'getaddrinfo', hostname: 'nowhere.test', message: 'getaddrinfo ENOTFOUND nowhere.test (npxc: nowhere.test has no address)' });
	},
	'no name at all': async () => {
		for (const host of ['a b.test', 'x\r\nEvil: yes', 'a/b', `${'a'.repeat(300)}.test`]) {
			const error = await errorOf(net.connect(443, host));
			assert.match(error.message, /^getaddrinfo ENOTFOUND [^]* \(npxc: this is no host name\)$/);
		}
	},
	'arguments that Node refuses': () => {
		assert.throws(() => net.connect(70000, 'api.test'), { code: 'ERR_SOCKET_BAD_PORT' });
		assert.throws(() => net.connect({ host: 'api.test' }), { code: 'ERR_MISSING_ARGS' });
		assert.throws(() => net.connect({ port: 7, host: 7 }), { code: 'ERR_INVALID_ARG_TYPE' });
		assert.throws(() => dns.lookup('api.test'), { code: 'ERR_INVALID_ARG_TYPE' });
	},
	'a TLS socket of one\'s own': async () => {
		const error = await errorOf(new tls.TLSSocket().connect(443, 'api.test'));
		assert.match(error.message, /^connect ENOTSUP api\.test:443 \(npxc: only a new socket/);
	},

	'TLS: a certificate for another name': async () => {
		const error = await errorOfTls({ port: 443, host: '192.0.2.7' });
		assert.match(error.message, /192\.0\.2\.7:443 is not in the allow list/);
		const other = await errorOfTls({ port: 8, host: 'api.test', servername: 'other.test' });
		assert.strictEqual(other.code, 'ERR_TLS_CERT_ALTNAME_INVALID');
	},
	'TLS: the caller\'s options': async () => {
		const secured = tls.connect({ port: 443, host: 'api.test', ALPNProtocols: ['h2'], timeout: 5000 });
		await once(secured, 'secureConnect');
		assert.strictEqual(secured.alpnProtocol, 'h2');
		assert.strictEqual(secured.timeout, 5000);
		assert.strictEqual(secured.authorized, true);
		assert.strictEqual(net.isIP(secured.remoteAddress), 4);
		secured.destroy();
	},
	'TLS: a session that is resumed': async () => {
		const first = tls.connect(8, 'api.test');
		first.resume();
		const [session] = await once(first, 'session');
		const second = tls.connect({ port: 8, host: 'api.test', session });
		await once(second, 'secureConnect');
		assert.strictEqual(second.isSessionReused(), true);
		second.destroy();
	},
	'TLS: a read buffer of the caller is refused': async () => {
		const secured = tls.connect({ port: 8, host: 'api.test', onread: { buffer: Buffer.alloc(4), callback() {} } });
		assert.match((await once(secured, 'error').catch((error) => [error]))[0].message, /onread does not work with TLS/);
	},

	'dns: what a lookup gives': async () => {
		assert.deepStrictEqual(await promisify(dns.lookup)('localhost', { family: 4 }), { address: '127.0.0.1', family: 4 });
		assert.deepStrictEqual(await dns.promises.lookup('192.0.2.1'), { address: '192.0.2.1', family: 4 });
		const one = await dns.promises.lookup('api.test');
		assert.match(one.address, /^198\.18\.\d+\.\d+$/);
		assert.deepStrictEqual(await dns.promises.lookup('API.test', { all: true }), [one]);
		assert.deepStrictEqual(await dns.promises.resolve4('api.test'), [one.address]);
		assert.match((await dns.promises.lookup('api.test', 6)).address, /^2001:2::\w+$/);
		assert.notDeepStrictEqual(await dns.promises.lookup('evil.test'), one);
	},
	'dns: other records': async () => {
		const srv = [{ name: 's0.api.test', port: 27017, priority: 1, weight: 2 }, { name: '', port: 0, priority: 0, weight: 0 }];
		assert.deepStrictEqual(await dns.promises.resolveSrv('_X._tcp.api.test.'), srv);
		assert.deepStrictEqual(await promisify(dns.resolve)('_x._tcp.api.test', 'SRV'), srv);
		assert.deepStrictEqual(await dns.promises.resolve('api.test', 'TXT'), [['a=b', '\xe9;'], ['']]);
		assert.deepStrictEqual(await promisify(dns.resolveMx)('api.test'), [{ exchange: 'mx.api.test', priority: 10 }]);
		assert.deepStrictEqual(await new dns.promises.Resolver().resolveCname('api.test'), ['other.test']);
		assert.deepStrictEqual(await Promise.all([1, 2, 3].map(() => dns.promises.resolveCname('api.test'))), Array(3).fill(['other.test']));
	},
	'dns: records that there are not': async () => {
		for (const [ask, code] of [
			[() => dns.promises.resolveSrv('api.test'), 'ENODATA'], [() => promisify(dns.resolveTxt)('evil.test'), 'ENOTFOUND'],
			[() => new dns.promises.Resolver().resolveTxt('broken.test'), 'ESERVFAIL'],
			[() => promisify(dns.resolveTxt)('a..b'), 'ENOTFOUND'], [() => dns.promises.resolveMx(`${'a'.repeat(64)}.test`), 'ENOTFOUND']])
			await assert.rejects(ask, (error) => error.code === code && /^query(Srv|Txt|Mx)$/.test(error.syscall) && error.hostname !== undefined);
		for (const ask of [() => dns.promises.resolveNs('api.test'), () => new dns.promises.Resolver().reverse('192.0.2.1')])
			await assert.rejects(ask, (error) => error.code === 'ECONNREFUSED' && /\(npxc: records of this type/.test(error.message));
	},
	'UDP has no way out': async () => {
		const socket = dgram.createSocket('udp4');
		const [error] = await new Promise((resolve) => socket.send('x', 53, '192.0.2.1', (...args) => resolve(args)));
		assert.strictEqual(error.code, 'ENETUNREACH');
		socket.close();
	},

	'loopback is left alone': () => withServer(net.createServer((socket) => socket.end(socket.remoteAddress)), { port: 0, host: '127.0.0.1' },
		async ({ port }) => {
			for (const host of ['127.0.0.1', 'localhost', '0.0.0.0', '::ffff:127.0.0.1', undefined])
				assert.match(await readAll(net.connect({ port, host, family: 4 })), /127\.0\.0\.1$/);
			const error = await errorOf(net.connect(1, '127.0.0.1'));
			assert.strictEqual(error.message, 'connect ECONNREFUSED 127.0.0.1:1');
		}),
	'loopback HTTP is left alone': () => withServer(http.createServer((request, response) => response.end('mine')), { port: 0 },
		async ({ port }) => assert.strictEqual(await (await fetch(`http://localhost:${port}/`)).text(), 'mine')),
	'UNIX sockets are left alone': () => withServer(net.createServer((socket) => socket.end('mine')), '/tmp/own.sock',
		async () => {
			assert.strictEqual(await readAll(net.connect('/tmp/own.sock')), 'mine');
			assert.ok(fs.existsSync('/tmp/own.sock'));
		}),
	'no proxy variables for the program itself': () => {
		for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'])
			assert.strictEqual(process.env[name], undefined);
	},
};

async function errorOfTls(options) {
	const [error] = await new Promise((resolve) => tls.connect(options).on('error', (...args) => resolve(args)));

	return error;
}
