// Runs the client kinds of one file against one host and prints a line of JSON for each: what came of it.
//
// usage: node run.cjs FILE HOST
//
// A file exports `kinds`: name -> function(host), which talks to host and checks the answer, or an object of
//   run     that function
//   since   the first major release of Node that has it
//   denied  what its error says about a host on no rule, where that is not npxc's own sentence
//   bare    what its error says without any way out, where that is not one of Node's
// or `checks`: name -> function(), for what is looked at once, with the preload.
'use strict';

const util = require('util');

const PATIENCE_MS = 20000;
const [file, host] = process.argv.slice(2);
const major = Number(process.versions.node.split('.')[0]);

async function one(name, { run, since = 0, denied, bare }) {
	const line = { kind: name, denied: denied && denied.source, bare: bare && bare.source };

	if (major < since)
		return { ...line, skipped: `Node ${since} and later` };
	let timer;
	const late = new Promise((resolve, reject) => {
		timer = setTimeout(() => reject(new Error('took too long')), PATIENCE_MS);
	});
	try {
		await Promise.race([run(host), late]);
		return { ...line, ok: true };
	} catch (error) {
		return { ...line, ok: false, error: util.inspect(error, { depth: 6 }) };
	} finally {
		clearTimeout(timer);
	}
}

async function main() {
	const { kinds, checks } = await import(file);

	let failed = false;
	for (const [name, kind] of Object.entries(host === undefined ? checks : kinds)) {
		const line = await one(name, typeof kind === 'function' ? { run: kind } : kind);
		failed = failed || line.ok === false;
		console.log(JSON.stringify(line));
	}
	console.log(JSON.stringify({ end: true }));
	// Nothing may keep the program alive now, but for what a kind that failed has left open.
	if (failed && host !== 'evil.test')
		process.exit();
}

main();
