// calls.js SECONDS - calls one function from two lines of another, and says what each call took.
'use strict';

function work(rounds) {
  let x = rounds;
  for (let i = 0; i < rounds; i++) x = (Math.imul(x ^ (x >>> 13), 1103515245) + i) | 0;
  return x;
}

function seconds() {
  const usage = process.cpuUsage();
  return (usage.user + usage.system) / 1e6;
}

const spent = {first: 0, second: 0};
let sink = 0;

function caller() {
  const begin = seconds();
  sink ^= work(6e6);
  const middle = seconds();
  sink ^= work(2e6);
  spent.first += middle - begin;
  spent.second += seconds() - middle;
}

const limit = Number(process.argv[2] || 1);
while (spent.first + spent.second < limit) caller();
console.log(JSON.stringify({cpu_s: seconds(), lines: spent, sink}));
