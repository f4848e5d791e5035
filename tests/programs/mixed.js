// mixed.js ROUNDS - a Node.js program with a fixed amount of work: JSON, regular expressions,
// sorting, maps, hashing, and native code through zlib. Deterministic, so that its time tells
// what a profiler costs.
'use strict';

const crypto = require('crypto');
const zlib = require('zlib');

let seed = 12345;
function nextRandom() {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return seed;
}

function makeOrders(count) {
  const orders = [];
  for (let i = 0; i < count; i++) {
    orders.push({
      id: i,
      customer: `customer-${nextRandom() % 500}`,
      lines: [{ sku: `sku-${nextRandom() % 99}`, cents: nextRandom() % 10000 }],
      note: `order ${i}: call +${nextRandom()} or mail a${i}@example.org`,
    });
  }
  return orders;
}

function copyByJson(orders) {
  return JSON.parse(JSON.stringify(orders));
}

function findContacts(orders) {
  const pattern = /([a-z]\w*)@([a-z]+)\.org|\+(\d+)/g;
  let found = 0;
  for (const order of orders)
    for (const match of order.note.matchAll(pattern))
      found += match[0].length;
  return found;
}

function sortByPrice(orders) {
  return orders.sort((a, b) => a.lines[0].cents - b.lines[0].cents || a.id - b.id);
}

function sumByCustomer(orders) {
  const sums = new Map();
  for (const order of orders)
    sums.set(order.customer, (sums.get(order.customer) ?? 0) + order.lines[0].cents);
  return sums.size;
}

function digest(text) {
  return crypto.createHash('sha256').update(text).digest('hex');
}

function compress(text) {
  return zlib.deflateSync(text, { level: 1 }).length;
}

function oneRound() {
  const orders = sortByPrice(copyByJson(makeOrders(600)));
  const text = JSON.stringify(orders);
  return findContacts(orders) + sumByCustomer(orders) + compress(text) + digest(text).length;
}

const rounds = Number(process.argv[2]);
if (!Number.isInteger(rounds) || rounds < 1) {
  console.error('usage: node mixed.js ROUNDS');
  process.exit(2);
}
let checksum = 0;
for (let i = 0; i < rounds; i++)
  checksum = (checksum + oneRound()) % 1e9;
console.log(checksum);
