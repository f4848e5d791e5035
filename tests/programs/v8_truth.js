// v8_truth.js [CALLS,CALLS…] - stops itself at some 500 points, and prints the stack of each.
//
// At each point it sends itself SIGSTOP; who sends SIGCONT can have taken the stack from outside.
// Then it takes the same stack with new Error(), on the same line. At the end all stacks are
// printed as one line of JSON: [{point, warm, frames: [[function, file, line, column, line of the
// definition, async]]}], innermost frame first; each is null where V8's call site tells nothing.
// Each case runs again and again, after so many calls as are given (0,300,4000,30000 and then
// some in a Worker), so that it is met as interpreted, baseline and optimised code. Nothing here
// needs a flag.
'use strict';

const {EventEmitter} = require('events');
const fs = require('fs');
const path = require('path');
const {Readable} = require('stream');
const util = require('util');
const vm = require('vm');
const {Worker, isMainThread, parentPort, workerData} = require('worker_threads');

const {pid} = process;
const kill = process._kill; // what process.kill calls: without frames of its own
const SIGSTOP = 19;
const cell = workerData ?? new Int32Array(new SharedArrayBuffer(4)); // counts SIGCONT
const stacks = [];
const current = {point: '', warm: 0};

Error.stackTraceLimit = Infinity;

function describe(error, sites) {
  return sites.map((site) => [
    site.getFunctionName(), site.getScriptNameOrSourceURL() ?? null, site.getLineNumber(),
    site.getColumnNumber(), site.getEnclosingLineNumber(), site.isAsync(),
  ]);
}

// A main thread stops before kill returns; a Worker is stopped while it waits.
function stop() {
  const continued = cell[0];
  const error = (kill(pid, SIGSTOP), isMainThread || Atomics.wait(cell, 0, continued), new Error());
  Error.prepareStackTrace = describe;
  const frames = error.stack;
  Error.prepareStackTrace = undefined;
  stacks.push({...current, frames});
  return stacks.length;
}

// Called instead of stop to warm a case up; several, so that optimised code inlines none.
const idle = [
  function idleOne() { return 1; },
  function idleTwo() { return 2; },
  () => 3,
  function idleFour() { return cell[0]; },
  function idleFive() { return 5; },
];

const cases = {}; // name: function of a callback
const slowCases = {}; // the same, warmed up less
const asyncCases = {};

// Classes.

class Base {
  #secret = 1;
  static count = 0;
  constructor(cb) { this.made = cb(); }
  plain(cb) { return cb() + this.made; }
  #hidden(cb) { return this.#secret + cb(); }
  reveal(cb) { return this.#hidden(cb); }
  static #staticHidden(cb) { return cb() + Base.count; }
  static reveal(cb) { return Base.#staticHidden(cb); }
  get now() { return this.cb(); }
  set now(cb) { this.made = cb(); }
  ['computed' + 1](cb) { return cb(); }
  *[Symbol.iterator]() { yield this.cb(); }
  [Symbol.toPrimitive](hint) { return hint === 'string' ? `${this.cb()}` : this.cb(); }
  static [Symbol.hasInstance](value) { return value.cb() > 0; }
}

class Derived extends Base {
  field = this.constructor.start?.();
  constructor(cb, ...rest) {
    super(cb);
    this.rest = rest.length;
  }
  plain(cb) { return super.plain(cb) * 2; }
}

function withCallback(cb) {
  const object = new Base(idle[0]);
  object.cb = cb;
  return object;
}

cases.construct = (cb) => new Base(cb).made;
cases.constructDerived = (cb) => new Derived(cb, 1, 2).made;
cases.superMethod = (cb) => new Derived(idle[0]).plain(cb);
cases.privateMethod = (cb) => new Base(idle[1]).reveal(cb);
cases.staticPrivate = (cb) => Base.reveal(cb);
cases.getter = (cb) => withCallback(cb).now;
cases.setter = (cb) => { new Base(idle[0]).now = cb; };
cases.computedMethod = (cb) => new Base(idle[0]).computed1(cb);
cases.toPrimitive = (cb) => +withCallback(cb) + `${withCallback(cb)}`.length;
cases.hasInstance = (cb) => withCallback(cb) instanceof Base;
cases.iterator = function iterate(cb) {
  let sum = 0;
  for (const value of withCallback(cb)) sum += value;
  return sum + [...withCallback(cb)].length;
};
slowCases.staticBlock = function makeClass(cb) {
  class Local {
    static size;
    static { Local.size = cb(); }
  }
  return Local.size;
};
slowCases.fieldInitializer = function makeFields(cb) {
  class Local {
    first = 1;
    second = cb();
    static third = cb();
  }
  return new Local().second + Local.third;
};

// Functions, closures and arguments.

function makeCounter(cb) {
  let count = 0;
  return () => {
    count += cb();
    return count;
  };
}
cases.closure = (cb) => makeCounter(cb)();
cases.nestedClosures = function nestedClosures(cb) {
  const a = () => {
    const b = () => {
      const c = function namedInside() { return cb() + 1; };
      return c() + 1;
    };
    return b() + 1;
  };
  return a();
};

const holder = {};
holder.assigned = function (cb) { return cb(); };
holder.deep = {};
holder.deep.arrow = (cb) => cb();
cases.assigned = function callAssigned(cb) {
  return holder.assigned(cb) + holder.deep.arrow(cb);
};
cases.immediate = (cb) => (function () { return cb(); })();

function five(a, b, c, d, e) { return (e ?? a)(b, c, d); }
function defaults(cb, value = cb(), other = value + cb()) { return value + other; }
function rest(cb, ...values) { return cb() + values.length; }
function destructure({cb, x = cb()}) { return x; }
function usesArguments(cb) { return cb() + arguments.length; }
cases.fewArguments = (cb) => five(cb);
cases.manyArguments = (cb) => five(1, 2, 3, 4, cb, 6, 7, 8, 9);
cases.defaultParameters = (cb) => defaults(cb);
cases.restParameters = (cb) => rest(cb, 1, 2, 3);
cases.spread = (cb) => rest(...[cb, 1, 2]);
cases.destructuring = (cb) => destructure({cb});
cases.argumentsObject = (cb) => usesArguments(cb, 1, 2);
cases.bind = (cb) => rest.bind(null, cb, 1)(2);
cases.bindTwice = (cb) => rest.bind(null, cb).bind(null, 1)(2);
cases.callAndApply = (cb) => rest.call(null, cb) + rest.apply(null, [cb, 1]);
cases.reflectApply = (cb) => Reflect.apply(rest, null, [cb, 1]);
cases.reflectConstruct = (cb) => Reflect.construct(Derived, [cb]).made;
cases.optionalCall = (cb) => holder.deep?.arrow?.(cb);

function tag(strings, ...values) { return strings.length + values[0](); }
cases.taggedTemplate = (cb) => tag`one ${cb} two ${2}`;

// Recursion.

function recurse(depth, cb) { return depth ? recurse(depth - 1, cb) + 1 : cb(); }
function isEven(n, cb) { return n ? isOdd(n - 1, cb) : cb() > 0; }
function isOdd(n, cb) { return n ? isEven(n - 1, cb) : cb() < 0; }
function treeWalk(depth, cb) {
  if (depth === 0) return cb();
  return [1].reduce((sum, value) => sum + value + treeWalk(depth - 1, cb), 0);
}
cases.recursion = (cb) => recurse(40, cb);
cases.mutualRecursion = (cb) => isEven(21, cb);
cases.recursionByBuiltin = (cb) => treeWalk(6, cb);

// Callbacks of builtins.

cases.map = (cb) => [1].map((x) => x + cb());
cases.filterAndFind = function filterAndFind(cb) {
  return [1, 2].filter((x) => x > 1 && cb()).find((x) => x + cb() > 0);
};
cases.forEach = function loopForEach(cb) {
  let sum = 0;
  [1].forEach(function add(x) { sum += x + cb(); });
  return sum;
};
cases.reduce = (cb) => [1, 2].reduce((a, b) => a + b + cb());
cases.flatMap = (cb) => [1].flatMap((x) => [x, cb()]);
cases.sort = (cb) => [2, 1].sort((a, b) => a - b + 0 * cb());
cases.typedArraySort = (cb) => new Int32Array([2, 1]).sort((a, b) => a - b + 0 * cb());
cases.arrayFrom = (cb) => Array.from([1], (x) => x + cb());
cases.arrayFromIterator = (cb) => Array.from(withCallback(cb));
cases.mapForEach = (cb) => new Map([[1, 2]]).forEach((value) => value + cb());
cases.setForEach = (cb) => new Set([1]).forEach((value) => value + cb());
cases.replace = (cb) => 'a-b'.replace(/-/, (match) => match + cb());
cases.replaceString = (cb) => 'a-b'.replace('-', (match) => match + cb());
cases.parseReviver = (cb) => JSON.parse('[1]', (key, value) => (key === '0' ? cb() : value));
cases.toJSON = (cb) => JSON.stringify({a: {toJSON() { return cb(); }}});
cases.stringifyReplacer = (cb) => JSON.stringify([1], (key, value) => (key ? cb() : value));
cases.toStringCalled = (cb) => [{toString() { return `${cb()}`; }}].join();
cases.valueOf = (cb) => 1 + {valueOf() { return cb(); }};
cases.objectAccessor = (cb) => ({get price() { return cb(); }}).price;
cases.promiseExecutor = function makePromise(cb) { return new Promise((resolve) => resolve(cb())); };

// Proxies.

const handler = {
  get(target, key) { return key === 'now' ? target.cb() : undefined; },
  set(target, key, value) { value(); return true; },
  has(target) { return target.cb() > 0; },
  ownKeys(target) { target.cb(); return Reflect.ownKeys(target); },
};
const functionHandler = {
  apply(target, self, list) { return list[0](); },
  construct(target, list) { return {made: list[0]()}; },
};
cases.proxyGet = (cb) => new Proxy({cb}, handler).now;
cases.proxySet = (cb) => { new Proxy({}, handler).key = cb; };
cases.proxyHas = (cb) => 'x' in new Proxy({cb}, handler);
cases.proxyKeys = (cb) => Object.keys(new Proxy({cb}, handler)).length;
cases.proxyApply = (cb) => new Proxy(rest, functionHandler)(cb);
cases.proxyConstruct = (cb) => new (new Proxy(Base, functionHandler))(cb).made;

// Generators.

function* generate(cb) {
  yield 1;
  yield cb();
}
function* delegate(cb) { yield* generate(cb); }
cases.generator = function drain(cb) {
  let sum = 0;
  for (const value of generate(cb)) sum += value;
  return sum;
};
cases.generatorDelegate = (cb) => [...delegate(cb)].length;
cases.generatorThrow = function throwInto(cb) {
  const generator = (function* guarded() {
    try { yield 1; } catch { yield cb(); }
  })();
  generator.next();
  return generator.throw(new TypeError('x')).value;
};

// Control flow.

cases.caught = function caught(cb) {
  try {
    null.property();
  } catch (error) {
    return cb();
  } finally {
    cb();
  }
};
cases.manyLines = function manyLines(cb) {
  let sum = 0;
  for (let i = 0; i < 3; i++) {
    if (i === 1)
      sum += cb(
        i,
        cb(sum));
    else
      sum ^= i;
  }
  switch (sum % 2) {
    case 0:
      return cb();
    default:
      return -cb();
  }
};

// Inlining.

const add = (a, b) => a + b;
const twice = (f, x) => add(f(x), f(x + 1));
const apply1 = (f) => f();
function inlineThree(cb) { return add(1, inlineTwo(cb)); }
function inlineTwo(cb) {
  return add(
    2, inlineOne(cb));
}
function inlineOne(cb) { return add(3, cb()); }
class Stack {
  #items = [];
  push(cb) { this.#items.push(cb()); return this; }
  top() { return this.#items[this.#items.length - 1]; }
  static of(cb) { return new Stack().push(cb); }
}
cases.inlined = (cb) => inlineThree(cb) + inlineTwo(cb);
cases.inlinedMethod = (cb) => Stack.of(cb).top();
cases.inlinedClosure = (cb) => twice((x) => x + apply1(() => cb()), 1);
cases.inlinedInLoop = function loopOver(cb) {
  let sum = 0;
  for (let i = 0; i < 4; i++) sum = add(sum, i === 2 ? inlineOne(cb) : i);
  return sum;
};
cases.inlinedRecursion = (cb) => recurse(2, () => inlineOne(cb));
cases.inlinedGetter = (cb) => add(withCallback(cb).now, 1);
cases.inlinedThrow = function inlinedThrow(cb) {
  const thrower = () => { throw cb; };
  try {
    return thrower();
  } catch (callback) {
    return inlineOne(callback);
  }
};

// On-stack replacement, and code that is deoptimised while it runs.

slowCases.replacedOnStack = function replacedOnStack(cb) {
  let x = 1;
  for (let i = 0; i < 3e5; i++) x = (Math.imul(x, 69069) + i) | 0;
  const result = x + cb();
  for (let i = 0; i < 3e5; i++) x = (Math.imul(x, 69069) + i) | 0;
  return result + inlineOne(cb) + x;
};
slowCases.replacedInside = function replacedInside(cb) {
  let x = 1;
  for (let i = 0; i < 3e5; i++) {
    x = (Math.imul(x, 69069) + i) | 0;
    if (i === 2e5)
      x += inlineTwo(cb);
  }
  return x;
};

const makePoint = new Function('return class Point { norm() { return 1; } }');
cases.deoptimised = (() => {
  let Point = makePoint();
  const norm = (point, cb) => point.norm() + inlineOne(cb);
  return function deoptimised(cb) {
    const point = new Point();
    return norm(point, () => {
      if (cb === stop) Point.prototype.norm = () => 2; // what optimised code relied on
      return cb();
    }) + norm(point, cb);
  };
})();
cases.deoptimisedByType = function deoptimisedByType(cb) {
  const result = cb();
  const value = cb === stop ? {valueOf() { return cb(); }} : result;
  return value * 2 + add(value, cb());
};

// Code made at run time, and scripts with odd positions.

slowCases.directEval = function directEval(cb) { return eval('let y = 1;\n\ncb() + y'); };
slowCases.indirectEval = (cb) => (0, eval)('(function inEval(cb) {\n  return cb();\n})')(cb);
slowCases.evalWithUrl = (cb) => eval('\n(() => cb())()\n//# sourceURL=named-by-url.js');
slowCases.newFunction = (cb) => new Function('cb', '\n\nreturn (() => cb())();')(cb);

const context = vm.createContext({});
const script = (source, options) => new vm.Script(source, options).runInContext(context);
const otherContext = script('(function inContext(cb) {\n  return [1].map(() => cb())[0];\n})',
                            {filename: 'context.js'});
const withOffset = script('(function offset(cb) {\n  return cb();\n})',
                          {filename: 'offset.js', lineOffset: 100, columnOffset: 7});
const twoByte = script('/* \u65e5\u672c\u8a9e \ud83d\ude00 */\r\n// \u2028 \n(function na\u00efve(cb) {\r' +
                       'const \u65e5\u672c = () => cb(); return \u65e5\u672c();\n})',
                       {filename: 'two-byte-\u00e9.js'});
const wide = new Function('cb', `let x = 1;\n${
  Array.from({length: 140}, (_, i) => `let v${i} = x + ${i}.5;`).join('\n')
}\nx += cb();\nreturn x + ${Array.from({length: 140}, (_, i) => `v${i}`).join('+')};`);
const manyLocals = new Function('cb', `${
  Array.from({length: 90}, (_, i) => `let captured${i} = ${i};`).join('\n')
}\nconst inner = function innerOfMany() { return cb() + ${
  Array.from({length: 90}, (_, i) => `captured${i}`).join('+')}; };\nreturn inner();`);
cases.otherContext = (cb) => otherContext(cb);
cases.lineOffset = (cb) => withOffset(cb);
cases.twoByteSource = (cb) => twoByte(cb);
slowCases.wideBytecodes = (cb) => wide(cb);
slowCases.manyLocals = (cb) => manyLocals(cb);

// A WebAssembly function that calls what it imports.
const wasm = new WebAssembly.Module(new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 2, 8, 1, 1, 109, 2, 99, 98, 0, 0,
  3, 2, 1, 0, 7, 7, 1, 3, 114, 117, 110, 0, 1, 10, 6, 1, 4, 0, 16, 0, 11]));
slowCases.webAssembly = function throughWasm(cb) {
  return new WebAssembly.Instance(wasm, {m: {cb: () => cb()}}).exports.run();
};

// The runtime's own modules, synchronously.

cases.emitter = function emit(cb) {
  const emitter = new EventEmitter();
  emitter.on('event', (x) => x + cb());
  emitter.once('event', function onceOnly() { cb(); });
  return emitter.emit('event', 1);
};
slowCases.inspectCustom = (cb) => util.inspect({[util.inspect.custom]() { return `${cb()}`; }});

// Asynchronous ones: each returns a promise.

const tick = () => new Promise((resolve) => setImmediate(resolve));
async function asyncOne(cb) { return cb(); }
async function asyncTwo(cb) {
  const before = await asyncOne(cb);
  return before + cb();
}
async function asyncThree(cb) {
  const value = await asyncTwo(cb);
  await null;
  try {
    return value + await asyncTwo(() => cb());
  } finally {
    cb();
  }
}
async function* asyncGenerate(cb) {
  yield cb();
  await null;
  yield cb();
}
asyncCases.asyncFunctions = asyncThree;
asyncCases.asyncArrow = async (cb) => { await 1; return inlineOne(cb); };
asyncCases.asyncMethod = (cb) => ({async method() { await 1; return cb(); }}).method();
asyncCases.asyncGenerator = async function drainAsync(cb) {
  let sum = 0;
  for await (const value of asyncGenerate(cb)) sum += value;
  return sum;
};
asyncCases.then = (cb) => Promise.resolve(1).then((x) => x + cb()).then(() => { throw 1; })
  .catch(function onError() { return cb(); }).finally(() => { cb(); });
asyncCases.thenable = async (cb) => await {then(resolve) { resolve(cb()); }};
asyncCases.promiseAll = (cb) => Promise.all([1, 2].map(async (x) => { await x; return cb(); }));
asyncCases.microtask = (cb) => new Promise((resolve) => {
  queueMicrotask(function inMicrotask() { resolve(cb()); });
});
asyncCases.nextTick = (cb) => new Promise((resolve) => {
  process.nextTick((x) => resolve(x + cb()), 1);
});
const timedCases = {
  setTimeout: (cb) => new Promise((resolve) => setTimeout(() => resolve(cb()), 1)),
  setImmediate: (cb) => new Promise((resolve) => setImmediate(() => resolve(cb()))),
  setInterval: (cb) => new Promise((resolve) => {
    const timer = setInterval(function everyTime() { clearInterval(timer); resolve(cb()); }, 1);
  }),
  afterTimer: async function afterTimer(cb) { await tick(); return cb(); },
  fsCallback: (cb) => new Promise((resolve) => {
    fs.readFile(__filename, (error, data) => resolve(data.length + cb()));
  }),
  fsPromise: async (cb) => (await fs.promises.stat(__filename)).size + cb(),
  stream: (cb) => new Promise((resolve) => {
    Readable.from(['a', 'b']).on('data', () => cb()).on('end', function ended() { resolve(cb()); });
  }),
  emitterAsync: async (cb) => {
    const emitter = new EventEmitter();
    setImmediate(() => emitter.emit('ready', cb()));
    return EventEmitter.once(emitter, 'ready');
  },
  promisify: (cb) => util.promisify((done) => setImmediate(() => done(null, cb())))(),
  moduleUrl: async (cb) => {
    const module = await import(path.join(__dirname, 'v8_truth_module.mjs'));
    return module.callBack(cb) + await module.default(cb);
  },
};

function warmUp(run, count) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += run(idle[i % idle.length]) ? 1 : 0;
  return sum;
}

async function warmUpAsync(run, count) {
  for (let i = 0; i < count; i++) await run(idle[i % idle.length]);
}

async function runAll(levels) {
  for (const warm of levels) {
    for (const [point, run] of Object.entries(cases)) {
      Object.assign(current, {point, warm});
      warmUp(run, warm);
      run(stop);
    }
    for (const [point, run] of Object.entries(slowCases)) {
      Object.assign(current, {point, warm});
      warmUp(run, Math.min(warm / 20, 100));
      run(stop);
    }
    for (const [point, run] of Object.entries(asyncCases)) {
      Object.assign(current, {point, warm});
      await warmUpAsync(run, Math.min(warm, 4000));
      await run(stop);
    }
  }
  for (const warm of [0, 20]) {
    for (const [point, run] of Object.entries(timedCases)) {
      Object.assign(current, {point, warm});
      await warmUpAsync(run, warm);
      await run(stop);
    }
  }
}

async function main() {
  if (process.argv[2]) {
    await runAll(process.argv[2].split(',').map(Number));
    console.log(JSON.stringify(stacks));
    return;
  }
  await runAll([0, 300, 4000, 30000]);
  process.on('SIGCONT', () => { cell[0]++; Atomics.notify(cell, 0); });
  new Worker(__filename, {workerData: cell}).on('message', (ofWorker) => {
    process.stdout.write(`${JSON.stringify([...stacks, ...ofWorker])}\n`, () => process.exit());
  });
}

async function mainOfWorker() {
  current.worker = true;
  await runAll([4000]);
  parentPort.postMessage(stacks);
}

if (isMainThread)
  main();
else
  mainOfWorker();
