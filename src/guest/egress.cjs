// The way out of a sandbox that has no network, for Node: NODE_OPTIONS="--require /run/npxc/egress.cjs" loads this
// before the program. Every TCP connection that leaves the sandbox is asked for, as an HTTP CONNECT, of npxc's egress
// process; what that refuses fails with an error that carries its reason.
//
// It is a convenience, not a guard: a program that goes around it has no network at all.
//
//   NPXC_EGRESS        unix:PATH or tcp:ADDRESS:PORT, where the egress process listens
//   NPXC_EGRESS_TOKEN  what it wants to see on tcp
//   NPXC_RELAY_PORT    loopback port of the HTTP proxy for children that are not Node; without it they get none
//
// No dependencies; Node 18 and later. It leans on a few things that Node does not document: _read, _write, _handle,
// _peername and `connecting` of a net.Socket, that "connect" is emitted by the socket itself, that data arrive through
// its own push(), and that tls.connect() takes an unconnected socket. Where one of them is missing, connections fail
// and say so (see `missing`). Comments stand on lines of their own: the build blanks those.
'use strict';

const net = require('net');
const threads = require('worker_threads');

// read once: programs do what they like with process.env
const setting = process.env.NPXC_EGRESS;
const token = process.env.NPXC_EGRESS_TOKEN;
const file = __filename;
const relayPort = Number(process.env.NPXC_RELAY_PORT) || 0;
const relayUrl = `http://127.0.0.1:${relayPort}`;
// In a child they would send clients with proxy code of their own around what is done here.
const proxyVariables = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'];
const noop = () => {};

// ---------------------------------------------------------------------------------------------------------------------
// What this needs of Node. A text: why nothing can leave; null: all is there.

const proxy = parseProxy(setting);
let missing = findMissing();

function parseProxy(text) {
	const tcp = /^tcp:(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text);

	if (/^unix:\//.test(text))
		return { path: text.slice('unix:'.length) };
	return tcp ? { host: tcp[1] || tcp[2], port: Number(tcp[3]) } : null;
}

function findMissing() {
	if (proxy === null)
		return `NPXC_EGRESS is neither unix:PATH nor tcp:ADDRESS:PORT: ${setting}`;
	// of its own: those that it inherits do not connect, read or write
	for (const name of ['connect', '_read', '_write']) {
		if (!Object.prototype.hasOwnProperty.call(net.Socket.prototype, name) || !net.Socket.prototype[name])
			return `Node ${process.version} has no net.Socket.${name}, which the way out of the sandbox needs`;
	}
	return null;
}

// Something that was there at the start turned out to work otherwise. Said once.
function giveUp(what) {
	if (missing === null) {
		missing = `Node ${process.version} works otherwise than the way out of the sandbox needs: ${what}`;
		process.emitWarning(`npxc: no network: ${missing}`);
	}
	return missing;
}

// Puts what `make` returns for a function in its place, with its name, length and symbols (util.promisify reads one).
function replace(object, name, make) {
	const original = object[name];

	if (typeof original !== 'function')
		return;
	object[name] = Object.defineProperties(make(original), Object.getOwnPropertyDescriptors(original));
}

// ---------------------------------------------------------------------------------------------------------------------
// Names and addresses

const local = new net.BlockList();
local.addSubnet('127.0.0.0', 8, 'ipv4');
local.addAddress('0.0.0.0', 'ipv4');
local.addAddress('::1', 'ipv6');
local.addAddress('::', 'ipv6');

// The sandbox's own loopback, which is nobody's business.
function isLocal(host) {
	const family = net.isIP(host);

	return family ? local.check(host, `ipv${family}`) : /^(?:.+\.)?localhost\.?$/i.test(host);
}

// As it stands in a CONNECT request; null for what cannot be a name.
function canonicalName(name) {
	const ascii = /^[\x00-\x7f]*$/.test(name) ? name : require('url').domainToASCII(name);

	return /^[A-Za-z0-9_.-]{1,254}$/.test(ascii) ? ascii.toLowerCase() : null;
}

// Programs look a name up and connect to what they got. Only the egress process may resolve names, and only allowed
// ones, so they get an address of the ranges for benchmarks (198.18.0.0/15, 2001:2::/48) that stands for the name.
const placeholders = { next: 1, names: new Map(), addresses: new Map() };
const PLACEHOLDERS = 0xffff;

function placeholderOf(name, family) {
	const textOf = (n, version) => version === 6 ? `2001:2::${n.toString(16)}` : `198.18.${n >> 8}.${n & 0xff}`;
	let index = placeholders.names.get(name);

	if (index === undefined) {
		index = placeholders.next;
		placeholders.next = index % PLACEHOLDERS + 1;
		// the oldest makes room
		placeholders.names.delete(placeholders.addresses.get(textOf(index, 4)));
		placeholders.names.set(name, index);
		placeholders.addresses.set(textOf(index, 4), name).set(textOf(index, 6), name);
	}
	return textOf(index, family);
}

// Where the options of a net.connect() or tls.connect() lead: null when that is inside the sandbox, or when Node has to
// say what is wrong with them. A `lookup` of the caller's is not asked: the egress process resolves names, and judges
// the addresses.
function targetOf(options) {
	const host = options.host || 'localhost';
	const port = Number(options.port);
	const isText = typeof options.port === 'string' && options.port.trim() !== '';
	const isPort = (isText || typeof options.port === 'number') && Number.isInteger(port) && port >= 0 && port < 65536;

	if (options.path || !isPort || typeof host !== 'string' || isLocal(host))
		return null;
	const known = placeholders.addresses.get(host);
	if (known !== undefined)
		return { host: known, port, isName: true, family: net.isIP(host), wasLookedUp: true };
	return { host, port, isName: net.isIP(host) === 0, family: Number(options.family) === 6 ? 6 : 4 };
}

// Both take (options[, callback]), (port[, host][, callback]), (path[, callback]), or one array of options and callback
// that Node has already sorted out; TLS options may stand behind port and host.
function sortArguments(args) {
	if (Array.isArray(args[0]))
		return { options: args[0][0], callback: args[0][1] };
	const last = args[args.length - 1];
	const callback = typeof last === 'function' ? last : null;
	let options = {};

	if (typeof args[0] === 'object' && args[0] !== null)
		options = args[0];
	else if (typeof args[0] === 'string' && !(Number(args[0]) >= 0))
		options.path = args[0];
	else
		options = { port: args[0], host: typeof args[1] === 'string' ? args[1] : undefined };
	for (const more of [args[1], args[2]]) {
		if (typeof more === 'object' && more !== null)
			return { options: { ...options, ...more }, callback };
	}
	return { options, callback };
}

// ---------------------------------------------------------------------------------------------------------------------
// Errors: those that Node gives for the same event, with npxc's reason.

function connectError(code, target, text) {
	const { errno } = require('os').constants;
	const isLookup = code === 'ENOTFOUND';
	const subject = isLookup ? target.host : `${target.host}:${target.port}`;
	const error = new Error(`${isLookup ? 'getaddrinfo' : 'connect'} ${code} ${subject} (npxc: ${text})`);

	error.code = code;
	error.errno = isLookup ? -3008 : errno[code] ? -errno[code] : undefined;
	error.syscall = isLookup ? 'getaddrinfo' : 'connect';
	if (isLookup)
		error.hostname = target.host;
	else
		Object.assign(error, { address: target.host, port: target.port });
	return error;
}

function notReached(target, why) {
	return connectError('ECONNREFUSED', target, `the egress process cannot be reached: ${why}`);
}

// ---------------------------------------------------------------------------------------------------------------------
// Asking the egress process: CONNECT host:port, answered by 200, or by 4xx or 5xx with `Npxc-Error: CODE` and one line.

const REPLY_MAX = 4096;

function requestFor(target) {
	const host = net.isIP(target.host) === 6 ? `[${target.host}]` : target.host;
	const credentials = token && `Proxy-Authorization: Basic ${Buffer.from(`npxc:${token}`).toString('base64')}\r\n`;

	return `CONNECT ${host}:${target.port} HTTP/1.1\r\n${credentials || ''}\r\n`;
}

// null: there is more to come. `rest` is where the flow's own bytes begin.
function readReply(bytes, ended) {
	const text = bytes.toString('latin1');
	const end = text.indexOf('\r\n\r\n');
	const status = /^HTTP\/1\.1 (\d{3})/.exec(text);

	if (end < 0 || !status)
		return ended || text.length > REPLY_MAX || (text.length >= 12 && !status) ? { broken: true } : null;
	if (status[1] === '200')
		return { rest: end + 4 };
	const body = text.slice(end + 4);
	const line = /^[^\r\n]*(?=[\r\n])/.exec(body);
	if (!line && !ended && text.length <= REPLY_MAX)
		return null;
	const code = /\r\nnpxc-error: *(E[A-Z0-9]+)/i.exec(text.slice(0, end));
	const why = (line ? line[0] : body).replace(/[^\x20-\x7e]/g, '?').slice(0, 512);
	return { code: code ? code[1].toUpperCase() : 'EACCES', why: why || `refused with status ${status[1]}` };
}

// Read buffers that the caller brought (the option onread) live under symbols. They are taken off the socket until the
// reply is read.
function takeUserBuffer(socket) {
	const symbols = Object.getOwnPropertySymbols(socket);
	const find = (name) => symbols.find((symbol) => symbol.description === name);
	const [buffer, generate, callback] = ['kBuffer', 'kBufferGen', 'kBufferCb'].map(find);

	if (buffer === undefined || !socket[buffer])
		return null;
	const user = { symbol: buffer, value: socket[buffer], generate: socket[generate], callback: socket[callback] };
	socket[buffer] = null;
	return user;
}

function giveUserBuffer(socket, user, rest) {
	const next = () => user.generate ? user.generate() : user.value;
	let target = next();

	for (let at = 0; at < rest.length && !socket.destroyed;) {
		const length = rest.copy(target, 0, at);
		at += length;
		user.callback(length, target);
		target = next();
	}
	if (socket.destroyed)
		return;
	socket[user.symbol] = target;
	socket._handle.useUserBuffer(target);
}

// An http2 session that took over a socket when it connected does not look into its buffer, because such a socket never
// has anything there; Node itself does this for sessions on sockets that were connected before.
function giveHttp2(socket) {
	const values = (object) => Reflect.ownKeys(object).map((key) => object[key])
		.filter((value) => typeof value === 'object' && value !== null);
	const isSession = (handle) => typeof handle.receive === 'function' && typeof handle.consume === 'function';
	// The session is a property of the socket, its handle one of the session; the keys change from release to release.
	const session = values(socket).flatMap(values).find(isSession);

	for (let chunk; session && (chunk = socket.read()) !== null;)
		session.receive(chunk);
}

// Sockets that have asked and not been answered.
const asking = new WeakSet();
const socketConnect = net.Socket.prototype.connect;
const socketRead = net.Socket.prototype._read;
const socketWrite = net.Socket.prototype._write;

// What Node emits on a socket when it has looked its host up; programs measure their time-outs by it.
function emitLookup(socket, target, error) {
	if (!target.isName || target.wasLookedUp)
		return;
	const { host, family } = target;

	if (error)
		socket.emit('lookup', error, undefined, undefined, host);
	else
		socket.emit('lookup', null, placeholderOf(host, family), family, host);
}

// Connects a socket to the egress process, and keeps it "connecting" until that has answered 200: for its owner, and
// for everything in Node that waits for "connect", it is one connection to the target. Three methods of this one socket
// are shadowed until then:
//   emit     the first "connect" is not the owner's: it is when the request goes out
//   push     what comes in is the reply
//   destroy  an error of the connection to the egress process is told as one of the target's
function tunnel(socket, target) {
	const shadows = new Map();
	const owns = (name) => Object.prototype.hasOwnProperty.call(socket, name);
	let user = null;
	let received = Buffer.alloc(0);
	// no longer shadowed: through, or failed
	let settled = false;

	function shadow(name, make) {
		const inherited = socket[name];
		const mine = make(inherited);
		shadows.set(name, { mine, owned: owns(name), inherited });
		socket[name] = mine;
	}

	// Somebody may have put a wrapper around a shadow meanwhile: it stays, and passes on.
	function unshadow() {
		settled = true;
		asking.delete(socket);
		if (user)
			socket[user.symbol] = user.value;
		for (const [name, { mine, owned, inherited }] of shadows) {
			if (socket[name] !== mine)
				continue;
			if (owned)
				socket[name] = inherited;
			else
				delete socket[name];
		}
	}

	function fail(error) {
		unshadow();
		socket.connecting = false;
		socket.destroy(error);
	}

	function ask() {
		if (socket.connecting || !socket._handle || typeof socket._handle.readStop !== 'function') {
			fail(connectError('ENOSYS', target, giveUp('a connected socket')));
			return;
		}
		Reflect.apply(socketWrite, socket, [requestFor(target), 'latin1', noop]);
		Reflect.apply(socketRead, socket, [0]);
		// not when writing failed at once
		if (!settled)
			socket.connecting = true;
	}

	function open(rest) {
		emitLookup(socket, target);
		// not when its owner has had enough of it then
		if (socket.destroyed)
			return;
		const handle = socket._handle;
		const flowing = socket.readableFlowing === true;

		unshadow();
		// Reading goes on when somebody reads, as on any new connection.
		handle.reading = false;
		handle.readStop();
		const address = target.isName ? placeholderOf(target.host, target.family) : target.host;
		socket._peername = { address, port: target.port, family: `IPv${net.isIP(address)}` };
		socket.connecting = false;
		// First bytes that came with the reply: who takes over the socket at "connect" looks for them in its buffer;
		// who listens for data gets them after "connect".
		if (rest.length > 0 && !flowing && !user)
			socket.push(rest);
		socket.emit('connect');
		socket.emit('ready');
		if (socket.destroyed)
			return;
		if (user)
			giveUserBuffer(socket, user, rest);
		else if (rest.length > 0 && flowing)
			socket.push(rest);
		else if (rest.length > 0)
			giveHttp2(socket);
		if (!socket.destroyed && !socket.isPaused())
			socket.read(0);
	}

	function take(chunk) {
		if (chunk !== null)
			received = Buffer.concat([received, chunk]);
		const reply = readReply(received, chunk === null);
		if (reply === null)
			return;
		if (reply.broken)
			fail(notReached(target, received.length ? 'its reply is none' : 'it closed the connection'));
		else if (reply.code) {
			const error = connectError(reply.code, target, reply.why);
			emitLookup(socket, target, reply.code === 'ENOTFOUND' ? error : null);
			fail(error);
		}
		else
			open(received.subarray(reply.rest));
	}

	shadow('emit', (emit) => function (event, ...rest) {
		if (!settled && event === 'connect') {
			ask();
			return true;
		}
		if (!settled && event === 'ready')
			return true;
		return Reflect.apply(emit, this, [event, ...rest]);
	});
	shadow('push', (push) => function (chunk, ...rest) {
		if (settled)
			return Reflect.apply(push, this, [chunk, ...rest]);
		take(chunk);
		return true;
	});
	shadow('destroy', (destroy) => function (error, ...rest) {
		if (!settled) {
			unshadow();
			if (error && ['connect', 'read', 'write'].includes(error.syscall))
				error = notReached(target, error.message);
		}
		return Reflect.apply(destroy, this, [error, ...rest]);
	});
	user = takeUserBuffer(socket);
	asking.add(socket);
	Reflect.apply(socketConnect, socket, [{ ...proxy }]);
	return socket;
}

// A connection that fails before it is tried does so on the next tick, as Node's do.
function failLater(socket, error) {
	socket.connecting = true;
	process.nextTick(() => {
		socket.connecting = false;
		socket.destroy(error);
	});
	return socket;
}

function connectSocket(socket, target) {
	const name = target.isName ? canonicalName(target.host) : target.host;

	if (missing !== null)
		return failLater(socket, connectError('ENOSYS', target, missing));
	if (name === null)
		return failLater(socket, connectError('ENOTFOUND', target, 'this is no host name'));
	// A TLSSocket of the caller's own making, or a socket that is bound.
	if (socket._handle && !socket.destroyed)
		return failLater(socket, connectError('ENOTSUP', target,
			'only a new socket can leave the sandbox; for TLS, use tls.connect'));
	return tunnel(socket, { ...target, host: name });
}

function patchNet() {
	replace(net.Socket.prototype, 'connect', (original) => function (...args) {
		const { options, callback } = sortArguments(args);
		const target = typeof options === 'object' && options !== null ? targetOf(options) : null;

		if (target === null)
			return Reflect.apply(original, this, args);
		if (callback)
			this.once('connect', callback);
		return connectSocket(this, target);
	});
}

// A TLSSocket reads from its handle from the start, so it would take the reply for the server's. Given a socket without
// a handle, it reads through JavaScript, and begins when that emits "connect".
function patchTls() {
	const tls = require('tls');

	function secure(original, options, callback, transport) {
		const handle = transport._handle;
		let secured;

		transport._handle = null;
		try {
			secured = original({ ...options, socket: transport }, ...(callback ? [callback] : []));
		} finally {
			transport._handle = handle;
		}
		for (const name of ['ref', 'unref']) {
			const inherited = secured[name];
			secured[name] = function () {
				transport[name]();
				return Reflect.apply(inherited, this, []);
			};
		}
		// what TLS still has to send after the other side's end goes out, as it would through a handle
		transport.allowHalfOpen = true;
		// Node 18 emits the error and leaves it at that
		transport.once('error', () => secured.destroy());
		transport.prependOnceListener('connect', () => {
			secured._peername = transport._peername;
		});
		return secured;
	}

	replace(tls, 'connect', (original) => function (...args) {
		const { options, callback } = sortArguments(args);
		const target = options.socket ? null : targetOf(options);

		if (asking.has(options.socket))
			return secure(original, options, callback, options.socket);
		if (target === null)
			return Reflect.apply(original, this, args);
		const { allowHalfOpen, noDelay, keepAlive, keepAliveInitialDelay, highWaterMark } = options;
		const transport = new net.Socket({ allowHalfOpen, noDelay, keepAlive, keepAliveInitialDelay, highWaterMark });
		// Rules are about names, and a server name that was left out is the host's.
		const named = !options.servername && target.isName ? { servername: canonicalName(target.host) || '' } : {};
		const secured = secure(original, { ...options, ...named }, callback, transport);

		if (options.timeout)
			secured.setTimeout(options.timeout);
		if (!secured.connecting || transport._handle)
			failLater(transport, connectError('ENOSYS', target, giveUp('tls.connect() with an unconnected socket')));
		else if (options.onread)
			failLater(transport, connectError('ENOTSUP', target, 'onread does not work with TLS in this sandbox'));
		else
			connectSocket(transport.on('lookup', (...args) => secured.emit('lookup', ...args)), target);
		return secured;
	});
}

// ---------------------------------------------------------------------------------------------------------------------
// Lookups

function lookupError(syscall, code, name, text) {
	const error = new Error(`${syscall} ${code} ${name} (npxc: ${text})`);

	return Object.assign(error, { code, syscall, hostname: name });
}

// The answer to a lookup: an error or a list of { address, family }. null: Node can answer it itself.
function lookUp(name, options) {
	const wanted = typeof options === 'object' && options ? options.family : options;
	const family = wanted === 6 || wanted === 'IPv6' ? 6 : 4;

	if (typeof name !== 'string' || name === '' || net.isIP(name) || isLocal(name))
		return null;
	const canonical = canonicalName(name);
	if (canonical === null)
		return lookupError('getaddrinfo', 'ENOTFOUND', name, 'this is no host name');
	return [{ address: placeholderOf(canonical, family), family }];
}

const queryOf = (method) => method.replace(/^resolve/, 'query');

// As lookUp, for the methods that ask a DNS server for addresses; `method` is resolve4 or resolve6.
function resolve(method, name, options) {
	const family = { resolve4: 4, resolve6: 6 }[method];

	if (typeof name !== 'string' || (family && isLocal(name)))
		return null;
	const canonical = canonicalName(name);
	if (!family || canonical === null)
		return lookupError(queryOf(method), family ? 'ENOTFOUND' : 'ECONNREFUSED', name,
			family ? 'this is no host name' : 'records of this type cannot be looked up in this sandbox');
	const address = placeholderOf(canonical, family);
	return [options && options.ttl ? { address, ttl: 60 } : address];
}

// ---------------------------------------------------------------------------------------------------------------------
// Other records: the egress process has a nameserver, which stands behind a name of npxc's own and is asked over TCP
// (RFC 1035). Its answers are plain: records of the name that was asked for, and names in them without compression.

const NAMESERVER = { host: 'dns.npxc.internal', port: 53 };
const NAMESERVER_PATIENCE_MS = 30000;
const HEADER = 12;
const codes = { 2: 'ESERVFAIL', 3: 'ENOTFOUND', 5: 'EREFUSED' };

function hostAt(data, at) {
	const labels = [];

	for (let length; (length = data[at]) > 0; at += length + 1)
		labels.push(data.toString('latin1', at + 1, at + 1 + length));
	return labels.join('.');
}

function stringsOf(data) {
	const strings = [];

	for (let at = 0; at < data.length; at += data[at] + 1)
		strings.push(data.toString('latin1', at + 1, at + 1 + data[at]));
	return strings;
}

// By method: the type's number, and what Node makes of its data.
const recordTypes = {
	resolveCname: [5, (data) => hostAt(data, 0)],
	resolveMx: [15, (data) => ({ exchange: hostAt(data, 2), priority: data.readUInt16BE(0) })],
	resolveTxt: [16, stringsOf],
	resolveSrv: [33, (data) => ({ name: hostAt(data, 6), port: data.readUInt16BE(4), priority: data.readUInt16BE(0),
		weight: data.readUInt16BE(2) })],
};

function questionFor(name, type) {
	const labels = name.replace(/\.$/, '').split('.').map((label) => Buffer.from(label, 'latin1'));

	if (!labels.every((label) => label.length > 0 && label.length < 64))
		return null;
	const parts = labels.flatMap((label) => [Buffer.from([label.length]), label]);
	return Buffer.concat([...parts, Buffer.from([0, 0, type, 0, 1])]);
}

// `message` is whole; `at`: where its records begin. A code, or what Node gives.
function readRecords(message, at, make) {
	const records = [];

	if (codes[message[3] & 15])
		return codes[message[3] & 15];
	for (let count = message.readUInt16BE(6); count > 0; count--) {
		const length = message.readUInt16BE(at + 10);
		records.push(make(message.subarray(at + 12, at + 12 + length)));
		at += 12 + length;
	}
	return records.length > 0 ? records : 'ENODATA';
}

// `done` is called once, with an error or with null and the records.
function askForRecords(method, name, done) {
	const [type, make] = recordTypes[method];
	const canonical = canonicalName(name);
	const question = canonical === null ? null : questionFor(canonical, type);
	let received = Buffer.alloc(0);
	let settled = false;

	function settle(code, text, records) {
		if (settled)
			return;
		settled = true;
		if (records)
			done(null, records);
		else
			done(text ? lookupError(queryOf(method), code, name, text) : Object.assign(
				new Error(`${queryOf(method)} ${code} ${name}`), { code, syscall: queryOf(method), hostname: name }));
	}

	if (question === null) {
		process.nextTick(settle, 'ENOTFOUND', 'this is no host name');
		return;
	}
	const socket = net.connect({ ...NAMESERVER }, () => {
		const message = Buffer.concat([Buffer.alloc(2 + HEADER), question]);
		message.writeUInt16BE(HEADER + question.length, 0);
		// a question, recursion desired, one of it
		message.set([1, 0, 0, 1], 4);
		socket.write(message);
	});
	socket.setTimeout(NAMESERVER_PATIENCE_MS, () => socket.destroy(Object.assign(new Error('no answer came'), { code: 'ETIMEOUT' })));
	socket.on('data', (chunk) => {
		received = Buffer.concat([received, chunk]);
		if (received.length < 2 || received.length < 2 + received.readUInt16BE(0))
			return;
		const message = received.subarray(2);
		const answer = message.length < HEADER ? 'EBADRESP' : readRecords(message, HEADER + question.length, make);
		socket.destroy();
		settle(answer, null, typeof answer === 'string' ? null : answer);
	});
	socket.on('error', (error) => settle(error.code === 'ETIMEOUT' ? 'ETIMEOUT' : 'ECONNREFUSED',
		error.message.replace(/^.*\(npxc: (.*)\)$/, '$1')));
	socket.on('close', () => settle('ECONNREFUSED', 'the egress process gave no answer'));
}

function patchDns() {
	const dns = require('dns');
	const callbackOf = (args) => args.find((arg, i) => i > 0 && typeof arg === 'function');
	const isOne = (options) => !(options && options.all);

	replace(dns, 'lookup', (original) => function (name, options, callback) {
		const answer = lookUp(name, options);
		const done = typeof options === 'function' ? options : callback;

		if (answer === null || typeof done !== 'function')
			return Reflect.apply(original, this, arguments);
		if (answer instanceof Error)
			process.nextTick(done, answer);
		else if (isOne(options))
			process.nextTick(done, null, answer[0].address, answer[0].family);
		else
			process.nextTick(done, null, answer);
		return {};
	});
	replace(dns.promises, 'lookup', (original) => async function (name, options) {
		const answer = lookUp(name, options);

		if (answer === null)
			return Reflect.apply(original, this, arguments);
		if (answer instanceof Error)
			throw answer;
		return isOne(options) ? answer[0] : answer;
	});

	// resolve(name, "TXT", ...) is resolveTxt(name, ...).
	const methodOf = (method, type) => method !== 'resolve' || typeof type !== 'string' ?
		method.replace(/^resolve$/, 'resolve4') :
		`resolve${{ A: '4', AAAA: '6' }[type] || type[0] + type.slice(1).toLowerCase()}`;
	const isRecords = (method, name) => Object.hasOwn(recordTypes, method) && typeof name === 'string';
	const byCallback = (base) => (original) => function (...args) {
		const callback = callbackOf(args);
		const method = methodOf(base, args[1]);

		if (callback && isRecords(method, args[0])) {
			askForRecords(method, args[0], callback);
			return {};
		}
		const answer = callback ? resolve(method, args[0], args[1]) : null;
		if (answer === null)
			return Reflect.apply(original, this, args);
		process.nextTick(callback, ...(answer instanceof Error ? [answer] : [null, answer]));
		return {};
	};
	const byPromise = (base) => (original) => async function (...args) {
		const method = methodOf(base, args[1]);

		if (isRecords(method, args[0])) {
			return new Promise((done, fail) => askForRecords(method, args[0],
				(error, records) => error ? fail(error) : done(records)));
		}
		const answer = resolve(method, args[0], args[1]);
		if (answer === null)
			return Reflect.apply(original, this, args);
		if (answer instanceof Error)
			throw answer;
		return answer;
	};
	const methods = Object.keys(dns).filter((name) => /^resolve/.test(name)).concat('reverse');
	for (const method of methods) {
		for (const object of [dns, dns.Resolver.prototype])
			replace(object, method, byCallback(method));
		for (const object of [dns.promises, dns.promises.Resolver.prototype])
			replace(object, method, byPromise(method));
	}
}

// ---------------------------------------------------------------------------------------------------------------------
// Workers and children: whatever environment they are given, they find the way out too.

// Whether those options, in the form of NODE_OPTIONS, load this file; it may stand there in another sense.
const loadsThis = (options) => ` ${options} `.includes(` --require ${file} `);

function nodeVariables(options) {
	const variables = { NPXC_EGRESS: setting, NODE_OPTIONS: options || '' };

	if (!loadsThis(variables.NODE_OPTIONS))
		variables.NODE_OPTIONS = `--require ${file} ${variables.NODE_OPTIONS}`.trim();
	if (token)
		variables.NPXC_EGRESS_TOKEN = token;
	if (relayPort)
		variables.NPXC_RELAY_PORT = String(relayPort);
	return variables;
}

// What a child has beside its own environment, of which `get` gives a variable.
function childVariables(program, get) {
	const variables = nodeVariables(get('NODE_OPTIONS'));

	// Node needs no proxy, and a relay is a thread.
	if (program === process.execPath || !startRelay())
		return variables;
	for (const name of proxyVariables) {
		if (!/^\w+:\/\/(?:127\.|localhost\b|\[::1\])/.test(get(name) || ''))
			variables[name] = relayUrl;
	}
	for (const name of ['NO_PROXY', 'no_proxy'])
		variables[name] = get(name) || 'localhost,127.0.0.1,::1';
	return variables;
}

function patchChildren() {
	const children = require('child_process');

	// spawn, fork, exec and execFile end here.
	replace(children.ChildProcess.prototype, 'spawn', (original) => function (options) {
		if (options && Array.isArray(options.envPairs)) {
			const valueOf = (name) => {
				const pair = options.envPairs.find((text) => String(text).startsWith(`${name}=`));
				return pair === undefined ? undefined : String(pair).slice(name.length + 1);
			};
			const added = childVariables(options.file, valueOf);
			options.envPairs = options.envPairs.filter((pair) => !(String(pair).split('=', 1)[0] in added))
				.concat(Object.entries(added).map(([name, value]) => `${name}=${value}`));
		}
		return Reflect.apply(original, this, [options]);
	});

	// This process becomes another program (Node 22.15 and later).
	replace(process, 'execve', (original) => function (program, args, env = process.env) {
		const given = typeof env === 'object' && env !== null ? { ...env, ...childVariables(program, (name) => env[name]) } : env;

		return Reflect.apply(original, this, [program, args, given]);
	});

	// (file[, args][, options]) and (command[, options]); inherited variables count, as in Node.
	for (const name of ['spawnSync', 'execFileSync', 'execSync']) {
		replace(children, name, (original) => function (...args) {
			const isOptions = (arg) => typeof arg === 'object' && arg !== null && !Array.isArray(arg);
			const found = args.findIndex((arg, i) => i > 0 && isOptions(arg));
			const at = found > 0 ? found : name !== 'execSync' && (Array.isArray(args[1]) || args.length > 2) ? 2 : 1;
			const options = found > 0 ? args[at] : {};
			const env = {};

			for (const key in options.env || process.env)
				env[key] = (options.env || process.env)[key];
			args[at] = { ...options, env: Object.assign(env, childVariables(args[0], (key) => env[key])) };
			return Reflect.apply(original, this, args);
		});
	}
}

// The options of a Worker. Without an environment of its own it has a copy of the program's, or shares it, and Node's
// options are those that this process was started with: unless its own take their place, and the program has taken
// NODE_OPTIONS out of its environment.
function workerOptions(options) {
	const added = options ? { ...options } : {};

	if (typeof added.env === 'object' && added.env !== null) {
		added.env = { ...added.env, ...nodeVariables(added.env.NODE_OPTIONS) };
		return added;
	}
	if (Array.isArray(added.execArgv) && !loadsThis(process.env.NODE_OPTIONS))
		added.execArgv = [...added.execArgv, '--require', file];
	// given as an environment of its own, these would take all of Node's options from it
	const { NODE_OPTIONS, ...variables } = nodeVariables('');
	if (process.env.NPXC_EGRESS !== setting)
		Object.assign(process.env, variables);
	return added;
}

function patchWorkers() {
	threads.Worker = new Proxy(threads.Worker, {
		construct(target, [script, options], newTarget) {
			return Reflect.construct(target, [script, workerOptions(options)], newTarget);
		},
	});
}

// ---------------------------------------------------------------------------------------------------------------------
// The relay: an HTTP proxy on the sandbox's loopback, for curl, git, Python and the like. It runs in a thread of the
// first process that starts a child, because spawnSync() stops the thread that calls it.

const RELAY_UP = 1;
const RELAY_FAILED = 2;
const RELAY_PATIENCE_MS = 5000;
let relayIsUp = null;
const PlainWorker = threads.Worker;

function startRelay() {
	if (relayIsUp !== null || relayPort === 0)
		return relayIsUp === true;
	const state = new Int32Array(new SharedArrayBuffer(4));

	try {
		// an environment without NODE_OPTIONS: nothing of the program's is loaded into it
		const { NODE_OPTIONS, ...env } = nodeVariables('');
		const worker = new PlainWorker(file, { workerData: { npxcRelay: state }, execArgv: [], env });

		worker.on('error', noop);
		worker.unref();
		Atomics.wait(state, 0, 0, RELAY_PATIENCE_MS);
		relayIsUp = Atomics.load(state, 0) === RELAY_UP;
	} catch {
		// no threads here (--permission): children that are not Node have no network
		relayIsUp = false;
	}
	return relayIsUp;
}

function serveRelay(state) {
	const http = require('http');
	const { pipeline } = require('stream');
	const hopByHop = /^(?:connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;
	// Many programs show the reason phrase, few the body.
	const reasonOf = (error) => {
		const own = /\((npxc: .*)\)$/.exec(error.message);

		return (own ? own[1] : error.message).replace(/[^\x20-\x7e]/g, '?');
	};
	const statusOf = (error) => error.code === 'EACCES' ? 403 : 502;

	// An absolute-form request: plain HTTP.
	const server = http.createServer((request, response) => {
		const refuse = (status, reason) => {
			if (response.headersSent)
				response.destroy();
			else
				response.writeHead(status, reason, { 'content-type': 'text/plain' }).end(`${reason}\n`);
		};
		let url = null;

		try {
			url = new URL(request.url);
		} catch {
			// below
		}
		if (url === null || url.protocol !== 'http:') {
			refuse(400, 'npxc: this proxy takes http URLs and CONNECT');
			return;
		}
		const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !hopByHop.test(name)));
		// Node frames the body of a GET or DELETE only when told to; a length is among the headers already.
		if (request.headers['transfer-encoding'] !== undefined)
			headers['transfer-encoding'] = 'chunked';
		const upstream = http.request({ host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || 80,
			method: request.method, path: url.pathname + url.search, headers: { ...headers, host: url.host },
			agent: false });

		upstream.on('response', (answer) => {
			const kept = [];
			for (let i = 0; i < answer.rawHeaders.length; i += 2) {
				if (!hopByHop.test(answer.rawHeaders[i]))
					kept.push(answer.rawHeaders[i], answer.rawHeaders[i + 1]);
			}
			response.writeHead(answer.statusCode, answer.statusMessage, kept);
			pipeline(answer, response, noop);
		});
		upstream.on('error', (error) => refuse(statusOf(error), reasonOf(error)));
		response.on('close', () => upstream.destroy());
		request.pipe(upstream);
	});

	server.on('connect', (request, client, head) => {
		const target = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(request.url);
		const refuse = (status, reason) =>
			client.end(`HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\n\r\n${reason}\n`);

		client.on('error', noop);
		if (!target || Number(target[3]) > 0xffff) {
			refuse(400, 'npxc: no host:port after CONNECT');
			return;
		}
		const upstream = net.connect({ host: target[1] || target[2], port: Number(target[3]), allowHalfOpen: true });
		let isOpen = false;
		upstream.once('connect', () => {
			isOpen = true;
			client.write('HTTP/1.1 200 OK\r\n\r\n');
			upstream.write(head);
			pipeline(client, upstream, noop);
			pipeline(upstream, client, noop);
		});
		upstream.on('error', (error) => isOpen ? client.destroy() : refuse(statusOf(error), reasonOf(error)));
		client.once('close', () => isOpen || upstream.destroy());
	});

	const say = (value) => {
		Atomics.store(state, 0, value);
		Atomics.notify(state, 0);
	};
	const listen = () => server.listen(relayPort, '127.0.0.1');
	server.on('listening', () => say(RELAY_UP));
	server.on('error', (error) => {
		if (error.code !== 'EADDRINUSE') {
			say(RELAY_FAILED);
			return;
		}
		// Another process of this sandbox has one. When that ends, this one takes its place.
		say(RELAY_UP);
		net.connect(relayPort, '127.0.0.1').on('error', noop).on('close', () => setTimeout(listen, 100));
	});
	// flows last as long as they last
	server.requestTimeout = 0;
	listen();
}

// ---------------------------------------------------------------------------------------------------------------------

function main() {
	const { isMainThread, workerData } = threads;

	if (setting === undefined)
		return;
	// A child that is Node was given them with all other children.
	for (const name of proxyVariables) {
		if (process.env[name] === relayUrl)
			delete process.env[name];
	}
	if (missing !== null)
		process.emitWarning(`npxc: no network: ${missing}`);
	patchNet();
	patchTls();
	patchDns();
	if (!isMainThread && workerData && workerData.npxcRelay) {
		serveRelay(workerData.npxcRelay);
		return;
	}
	patchChildren();
	patchWorkers();
	// Named imports of ES modules see what was replaced: this is how Node promises it.
	require('module').syncBuiltinESMExports();
}

main();
