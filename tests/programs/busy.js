// busy.js SECONDS - spends 70 % of its CPU time in hotLoop and 30 % in warmLoop.
'use strict';

function hotLoop(rounds) {
  let x = rounds;
  for (let i = 0; i < rounds; i++) x = (Math.imul(x ^ (x >>> 13), 1103515245) + i) | 0;
  return x;
}

function warmLoop(rounds) {
  let x = rounds;
  for (let i = 0; i < rounds; i++) x = (Math.imul(x ^ (x >>> 11), 69069) + i) | 0;
  return x;
}

function seconds() {
  const usage = process.cpuUsage();
  return (usage.user + usage.system) / 1e6;
}

const limit = Number(process.argv[2] || 1);
const spent = {hotLoop: 0, warmLoop: 0};
let sink = 0;
while (limit <= 0 || spent.hotLoop + spent.warmLoop < limit) {
  const work = spent.hotLoop * 30 <= spent.warmLoop * 70 ? hotLoop : warmLoop;
  const start = seconds();
  sink ^= work(2e6);
  spent[work.name] += seconds() - start;
}
console.log(JSON.stringify({cpu_s: seconds(), functions: spent, sink}));
