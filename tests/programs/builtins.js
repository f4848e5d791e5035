// Runs through many of V8's builtins in turn, for frame_states_oracle: each round takes the parts
// in another order, so that any stretch of it meets most of them.
'use strict';

class Shape {
  #side = 3;
  constructor(side) { this.#side = side; }
  get area() { return this.#side * this.#side; }
  *[Symbol.iterator]() { for (let i = 0; i < this.#side; i++) yield i; }
}

const text = 'The quick brown fox jumps over the lazy dog 0123456789 '.repeat(4);
const numbers = Array.from({ length: 60 }, (_, i) => (i * 7919) % 101);
const proxy = new Proxy({}, { get: (target, key) => String(key).length, has: () => true });

function fail(depth) {
  if (depth === 0) throw new Error('deep');
  return fail(depth - 1) + 1;
}

function rest(...values) { return values.length + arguments.length; }

const parts = [
  () => numbers.slice().sort((a, b) => a - b).map((n) => n * 1.5).filter((n) => n > 9).length,
  () => numbers.reduce((sum, n) => sum + n, 0) + numbers.indexOf(7) + numbers.findIndex((n) => n > 90),
  () => text.split(' ').map((word) => word.toUpperCase()).join('-').replace(/[AEIOU]+/g, (v) => v.length).length,
  () => [...text.matchAll(/(\w)(\w+)/g)].length + text.indexOf('lazy') + text.substring(4, 90).length,
  () => { const map = new Map(); for (const n of numbers) map.set('k' + n, n); let s = 0; map.forEach((v) => { s += v; }); return s; },
  () => { const set = new Set(numbers); set.delete(3); return set.size + [...set].length; },
  () => JSON.parse(JSON.stringify({ numbers, nested: { text, list: [1, 'two', null, { three: 3 }] } })).numbers.length,
  () => { try { return fail(6); } catch (error) { return error.message.length; } },
  () => rest.apply(null, numbers) + rest(...numbers.slice(0, 5)) + Math.max(...numbers) + rest(1),
  () => { let s = 0; for (const n of new Shape(9)) s += n; return s + new Shape(4).area; },
  () => proxy.width + ('x' in proxy) + Reflect.ownKeys({ a: 1, b: 2 }).length,
  () => { const bytes = new Uint8Array(64); for (let i = 0; i < 64; i++) bytes[i] = i * 3; return bytes.subarray(3, 40).map((b) => b ^ 5).indexOf(9); },
  () => { const o = {}; for (const n of numbers) o['p' + (n % 17)] = n; let s = 0; for (const k in o) s += o[k]; return s + Object.entries(o).length; },
  () => (12345678901234567890n * 987654321n) % 1000007n,
  () => rest.bind(null, 1, 2)(3) + [1, [2, [3, [4]]]].flat(3).length + parseInt('4711', 10) + Number('1e3'),
  () => { const list = []; for (let i = 0; i < 50; i++) list.push({ i }); while (list.length > 10) list.shift(); return list.pop().i; },
];

let sink = 0, stride = 1;

async function round() {
  for (let i = 0; i < parts.length; i++) {
    sink += Number(parts[(i * stride) % parts.length]()) % 7;
    if (i % 5 === 0) await null;
  }
  stride = (stride + 2) % 15 || 1;
}

(async () => {
  for (let n = 0; ; n++) {
    await round();
    if (n % 64 === 0) await new Promise(setImmediate);
  }
})();
