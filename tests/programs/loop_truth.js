/*
 * A loop with sockets, timers, a Worker and one long block, that tells every 25 ms what it knows of
 * itself: a line of JSON with the time (µs of CLOCK_MONOTONIC) and the figures of that moment.
 */
'use strict';
const { Worker, isMainThread, parentPort } = require('worker_threads');
const fs = require('fs');
const [seconds, blockAtMs, blockMs] = process.argv.slice(2).map(Number);

let sink = 0;

/* A look at the clock is an object: few of them, that the heap stays as it was told. */
function spin(ms) {
  const end = performance.now() + ms;
  do {
    for (let i = 0; i < 200000; i++)
      sink = (sink * 31 + i) | 0;
  } while (performance.now() < end);
}

function blockTheLoop() {
  spin(blockMs);
}

if (isMainThread) {
  const net = require('net'), dgram = require('dgram');
  const kept = [];
  for (let i = 0; i < 100000; i++)
    kept.push({ i, text: 'number ' + i, list: [i] });
  const buffers = Array.from({ length: 20 }, (_, i) => Buffer.alloc(300000 + i));
  const large = new Array(300000).fill(1.5);
  const worker = new Worker(__filename, { argv: process.argv.slice(2) });
  let ofWorker = null;
  worker.on('message', (message) => { ofWorker = message; });
  const server = net.createServer(() => {}).listen(0, '127.0.0.1', () => {
    for (let i = 0; i < 3; i++)
      net.connect(server.address().port, '127.0.0.1');
  });
  dgram.createSocket('udp4').bind(0, '127.0.0.1');
  fs.watch(__filename, () => {});
  setInterval(() => spin(12), 40);
  setTimeout(blockTheLoop, blockAtMs);
  setInterval(() => {
    const { idle, active } = performance.eventLoopUtilization();
    fs.writeSync(1, JSON.stringify({
      us: Number(process.hrtime.bigint() / 1000n), idle, active, memory: process.memoryUsage(),
      resources: process.getActiveResourcesInfo(), ofWorker,
      worker: worker.performance.eventLoopUtilization(),
      kept: kept.length + buffers.length + large.length,
    }) + '\n');
  }, 25);
  setTimeout(() => process.exit(0), 1000 * seconds);
} else {
  setInterval(() => spin(8), 20);
  setInterval(() => parentPort.postMessage({
    us: Number(process.hrtime.bigint() / 1000n), memory: process.memoryUsage(),
  }), 50);
}
