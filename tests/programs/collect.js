// collect.js SECONDS [worker|old] - makes garbage in rounds, in its main thread or in a Worker, so
// that V8 collects in all of its ways; with "old" most of it lives for longer. Prints how many
// rounds it came to.
'use strict';

const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');

const OLD = process.argv[3] === 'old';
const KEPT = OLD ? 1000 : 150, OBJECTS = 400, ROUNDS = 20, PAUSE_MS = 2;

function makeGarbage(count) {
  const list = [];
  for (let i = 0; i < count; i++) list.push({number: i, pair: [i, i + 1], text: 'text ' + i});
  return list;
}

function run(seconds, done) {
  const kept = [], end = Date.now() + seconds * 1000;
  let rounds = 0;
  (function next() {
    for (let i = 0; i < ROUNDS; i++) kept[rounds++ % KEPT] = makeGarbage(OBJECTS);
    // So that old space has something to give back.
    if (!OLD && rounds % 3000 === 0) kept.length = 0;
    if (Date.now() < end) setTimeout(next, PAUSE_MS);
    else done(rounds);
  })();
}

const tell = (rounds) => console.log(JSON.stringify({rounds}));
const seconds = Number(isMainThread ? process.argv[2] : workerData);
if (!isMainThread) run(seconds, (rounds) => parentPort.postMessage(rounds));
else if (process.argv[3] !== 'worker') run(seconds, tell);
else new Worker(__filename, {workerData: seconds}).on('message', tell);
