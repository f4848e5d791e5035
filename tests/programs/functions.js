// functions.js - functions of every shape, each run for a millisecond; then it stops itself.
//
// For tests/cli/test_v8_functions.py, which compares what is read of them from outside with what
// V8's own profiler and log say of the same process. What is tested is where a name comes from, and
// where a function begins.
'use strict';

const vm = require('vm');

let sink = 0;

function spin() {
  const end = process.hrtime.bigint() + 1500000n;
  while (process.hrtime.bigint() < end) sink++;
}

function declared() { spin(); }
const assigned = function () { spin(); };
const named = function itsOwnName() { spin(); };
const arrow = () => spin();
const arrowOfOne = value => { spin(); return value; };
async function asynchronous() { spin(); await null; spin(); }
function* generator() { spin(); yield 1; spin(); }
async function* asyncGenerator() { spin(); yield 1; spin(); }

const holder = {
  method() { spin(); },
  get value() { spin(); return 1; },
  set value(to) { spin(); sink += to; },
  async later() { spin(); },
  *several() { spin(); yield 1; },
  ['com' + 'puted']() { spin(); },
  [Symbol.for('symbol')]() { spin(); },
  'a name with spaces'() { spin(); },
  12() { spin(); },
  property: function () { spin(); },
  arrowProperty: () => spin(),
  inner: { deep: { function: function () { spin(); } } },
};
holder.added = function () { spin(); };
holder.inner.deep.added = () => spin();
holder['quoted key'] = function () { spin(); };
module.exports.exported = function () { spin(); };

class Base {
  field = (spin(), 1);
  #hidden = (spin(), 2);
  static total = (spin(), 3);
  static { spin(); }
  constructor() { spin(); }
  method() { spin(); return this.#private() + this.#hidden; }
  #private() { spin(); return 1; }
  get property() { spin(); return 1; }
  set property(to) { spin(); sink += to; }
  static make() { spin(); return new this(); }
  static async later() { spin(); }
  *[Symbol.iterator]() { spin(); yield 1; }
  arrowField = () => spin();
}

class Derived extends Base {
  method() { spin(); return super.method(); }
}

const Anonymous = class { method() { spin(); } constructor() { spin(); } };
const NamedClass = class ItsOwnClass { static run() { spin(); } };
const WithoutConstructor = class { field = (spin(), 1); };

function outer() {
  const inner = () => spin();
  return function () { spin(); inner(); };
}

// With as many variables in its context as `count`.
function manyLocals(count) {
  const names = Array.from({ length: count }, (_, i) => `v${i}`);
  const text = `${names.map((name, i) => `let ${name} = ${i};`).join('\n')}
    return function inner(spin) { spin(); return ${names.join(' + ')}; };`;
  return new Function(text + `\n//# sourceURL=many-${count}.js`);
}

function ofManyLocals(spin, count) {
  const body = Array.from({ length: count }, (_, i) => `let w${i} = ${i};`).join(' ');
  const uses = Array.from({ length: count }, (_, i) => `w${i}`).join(' + ');
  return (0, eval)(`(function ofMany${count}(spin) { ${body} spin(); return () => ${uses}; })`);
}

function evaluated() {
  eval('spin(); (function inEval() { spin(); })();');
  eval('function named() { spin(); } named(); //# sourceURL=/some/where/evaluated.js');
  (0, eval)('globalThis.indirect = function () { const until = Date.now() + 3; while (Date.now() < until); }');
  globalThis.indirect();
  new Function('spin', 'spin(); (() => spin())();')(spin);
}

function inScripts() {
  const context = vm.createContext({ spin });
  const text = 'spin();\nfunction first() { spin(); } first();\n\n  (() => spin())();';
  vm.runInContext(text, context, { filename: 'plain.js' });
  vm.runInContext(text, context, { filename: 'offset.js', lineOffset: 10, columnOffset: 7 });
  vm.runInContext(`${text}\n//# sourceURL=renamed.js`, context,
    { filename: 'offset-and-url.js', lineOffset: 20, columnOffset: 3 });
  vm.runInContext(text, context);
  vm.runInContext(`${text}\n//# sourceURL=only-url.js`, context);
  vm.compileFunction('spin(); (function compiled() { spin(); })();', ['spin'],
    { filename: 'compiled.js', lineOffset: 4, columnOffset: 2 })(spin);
  // Every kind of line end; V8 counts columns in units of UTF-16.
  vm.runInContext('spin()\r\nfunction crlf() { spin() }\rfunction cr() { spin() }\u2028' +
    'function ls() { spin() }\u2029function ps() { spin() }\n\n/* 😀é */ function wide() { spin() }\n' +
    'crlf(); cr(); ls(); ps(); wide();', context, { filename: 'lines.js' });
  vm.runInContext('/* é */ function latin() { spin() }\n/* ÿ */ latin();', context,
    { filename: 'latin-é.js' });
  vm.runInContext('function größe() { spin() } größe(); var 数 = function () { spin() }; 数();' +
    'const 𝒳 = () => spin(); 𝒳();', context, { filename: 'wide-😀.js' });
}

// A source that is a rope, and one that is a slice.
function inRopes() {
  let rope = '';
  for (let i = 0; i < 3000; i++) rope += `\n/* ${i} */`;
  const made = vm.runInThisContext(`${rope}(spin => { spin(); })`, { filename: 'rope.js' });
  made(spin);
  const slice = ('x'.repeat(100) + '\n\n  (function afterSlice(spin) { spin(); })').slice(100);
  vm.runInThisContext(slice, { filename: 'slice.js' })(spin);
}

async function main() {
  for (const run of [declared, assigned, named, arrow, arrowOfOne, holder.method, holder.property,
    holder.computed, holder[Symbol.for('symbol')], holder['a name with spaces'], holder[12],
    holder.arrowProperty, holder.inner.deep.function, holder.added, holder.inner.deep.added,
    holder['quoted key'], module.exports.exported, declared.bind(null), NamedClass.run, outer(),
    evaluated, inScripts, inRopes]) run();
  for (const _ of generator());
  for await (const _ of asyncGenerator());
  for (const _ of holder.several());
  await asynchronous();
  await holder.later();
  await Base.later();
  holder.value = holder.value;
  for (const one of [Base.make(), Derived.make(), new Anonymous()]) {
    one.method();
    if (one.arrowField) one.arrowField();
    one.property = one.property;
    if (one instanceof Base) for (const _ of one);
  }
  new WithoutConstructor();
  [1].map(() => spin());
  [2, 1].sort(function (a, b) { spin(); return a - b; });
  JSON.parse('[1]', function () { spin(); return 1; });
  'x'.replace(/x/, () => { spin(); return 'y'; });
  (function () { spin(); })();
  (() => spin())();
  await new Promise(resolve => setTimeout(function inTimer() { spin(); resolve(); }, 2));
  for (const count of [1, 74, 75, 76, 300]) {
    manyLocals(count)()(spin);
    ofManyLocals(spin, count)(spin)();
  }
  require('url').parse('http://localhost/?a=b');
  require('util').inspect({ a: [1, new Map([[1, 2]])] });
  process.kill(process.pid, 'SIGSTOP');
}

main();
