// What a child or a worker does: one request, and what came of it on stdout.
'use strict';

const https = require('https');
const { parentPort, workerData, isMainThread } = require('worker_threads');

const url = isMainThread ? process.argv[2] : workerData;
const say = (text) => {
	if (!isMainThread)
		parentPort.postMessage(text);
	else if (process.send)
		process.send(text, () => process.disconnect());
	else if (process.argv[3] === 'mcp')
		console.log(JSON.stringify({ jsonrpc: '2.0', method: 'said', params: { text } }));
	else
		console.log(text);
};

https.get(url, (response) => response.setEncoding('utf8').on('data', say)).on('error', (error) => say(String(error)));
