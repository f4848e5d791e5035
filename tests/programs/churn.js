// churn.js SECONDS [ROUNDS] - code and objects that come and go so fast that the collector moves them all
// the time, under names that tell where they belong.
//
// A generation is a script of 24 functions g<GENERATION>_<INDEX>_<LINE>: each begins at the line
// in its name, and is called by the one before it in the same generation and by nothing else. A
// generation lives for ROUNDS rounds (20 take some ten milliseconds); then its code is garbage, and what comes after it
// takes its place in memory. So any frame of these functions can be checked for truth.
'use strict';

const vm = require('vm');

const FUNCTIONS = 24;

function nameOf(generation, index) {
  return `g${generation}_${index}_${3 * index + 1}`;
}

// Three lines a function. The last one works, the others call the next one, one half of them
// through a builtin. Functions are kept in an array that is filled with closures again and again.
function sourceOf(generation) {
  const lines = [];
  for (let i = 0; i < FUNCTIONS; i++) {
    const call = i % 2 ? `[x].map((y) => chain[${i + 1}](y + 1, chain))[0]`
                       : `chain[${i + 1}](x + 1, chain)`;
    lines.push(`chain.push(function ${nameOf(generation, i)}(x, chain) {`,
               `  const junk = [{x, text: 'a' + x}, [x, x + 1], () => x];`,
               i + 1 < FUNCTIONS ? `  return junk.length + ${call}; });`
                                 : `  return churn(x) + junk.length; });`);
  }
  return lines.join('\n');
}

const old = []; // survives some collections, so that there is something to promote
function churn(x) {
  const made = [];
  for (let i = 0; i < 40; i++) {
    const point = {x: x + i, y: new Array(200), next: made[i - 1]};
    made.push(point, () => point.x);
  }
  old[Math.random() * 512 | 0] = made;
  return made.length;
}

function runGeneration(generation, rounds) {
  const chain = [];
  let sum = 0;
  const source = `(function fill(chain, churn) { ${sourceOf(generation)}\n})`;
  const fill = new vm.Script(source, {filename: `generation-${generation}.js`}).runInThisContext();
  for (let i = 0; i < rounds; i++) {
    chain.length = 0;
    fill(chain, churn);
    for (let j = 0; j < 8; j++) sum += chain[0](i, chain);
  }
  return sum;
}

const start = process.cpuUsage();
function seconds() {
  const usage = process.cpuUsage(start);
  return (usage.user + usage.system) / 1e6;
}

const limit = Number(process.argv[2] || 0);
const rounds = Number(process.argv[3] || 20);
let sink = 0;
let generation = 0;
while (limit <= 0 || seconds() < limit)
  sink = (sink + runGeneration(generation++, rounds)) | 0;
console.log(JSON.stringify({cpu_s: seconds(), generations: generation, sink}));
