// phases.js SECONDS - the work of mixed.js in phases, and how much CPU time each of them took. For
// node --single-threaded: the clock is that of all threads. "wall" is by the clock on the wall,
// for node as it is.
'use strict';

function seconds() {
  const usage = process.cpuUsage();
  return (usage.user + usage.system) / 1e6;
}

function makeOrders(count) {
  const orders = [];
  for (let i = 0; i < count; i++)
    orders.push({id: i, cents: Math.imul(i, 69069) >>> 8, note: `order ${i}: mail a${i}@example.org`});
  return orders;
}

class Ledger {
  #sums = new Map();

  addAll(orders) {
    for (let round = 0; round < 40; round++)
      for (const order of orders)
        this.#sums.set(order.cents % 97, (this.#sums.get(order.cents % 97) ?? 0) + order.cents);
    return this.#sums.size;
  }
}

const phases = {
  copyByJson: function copyByJson(orders) {
    return JSON.parse(JSON.stringify(orders)).length;
  },
  findContacts: function findContacts(orders) {
    let found = 0;
    for (let round = 0; round < 3; round++)
      for (const order of orders)
        for (const match of order.note.matchAll(/([a-z]\w*)@([a-z]+)\.org/g))
          found += match[0].length;
    return found;
  },
  sortByPrice: function sortByPrice(orders) {
    return orders.concat(orders, orders).sort((a, b) => a.cents - b.cents || a.id - b.id)[0].id;
  },
  addAll: (orders) => new Ledger().addAll(orders),
};

const limit = Number(process.argv[2] || 1);
const functions = {};
const wall = {};
let sink = 0;
const orders = makeOrders(20000);
while (seconds() < limit) {
  for (const name of Object.keys(phases)) {
    const start = seconds();
    const startWall = performance.now();
    sink = (sink + phases[name](orders)) | 0;
    functions[name] = (functions[name] ?? 0) + seconds() - start;
    wall[name] = (wall[name] ?? 0) + (performance.now() - startWall) / 1e3;
  }
}
console.log(JSON.stringify({cpu_s: seconds(), functions, wall, sink}));
