// orders_server.js - a small JSON service, on a port of the kernel's choice on the loopback
// interface, which it prints. Ends when its standard input does.
'use strict';

const http = require('http');

const orders = Array.from({length: 400}, (_, i) => ({
  id: i, customer: `customer-${i % 50}`, cents: Math.imul(i, 69069) >>> 12,
  lines: [{sku: `sku-${i % 9}`, count: i % 5 + 1}],
}));

class Store {
  #byCustomer = new Map();

  constructor(rows) {
    for (const row of rows) {
      const list = this.#byCustomer.get(row.customer) ?? [];
      list.push(row);
      this.#byCustomer.set(row.customer, list);
    }
  }

  *ordersOf(customer) { yield* this.#byCustomer.get(customer) ?? []; }

  totals() {
    return [...this.#byCustomer].map(([customer, rows]) => ({
      customer, cents: rows.reduce((sum, row) => sum + row.cents, 0),
    })).sort((a, b) => b.cents - a.cents);
  }
}

const store = new Store(orders);

async function readBody(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
}

const routes = {
  'GET /totals': () => store.totals(),
  'GET /orders': (url) => [...store.ordersOf(url.searchParams.get('customer'))],
  'POST /echo': async (url, request) => ({got: await readBody(request)}),
};

async function answer(request, response) {
  const url = new URL(request.url, 'http://localhost');
  const route = routes[`${request.method} ${url.pathname}`];
  const body = route ? JSON.stringify(await route(url, request)) : '{}';
  response.writeHead(route ? 200 : 404, {'content-type': 'application/json'});
  response.end(body);
}

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => response.destroy(error));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
process.stdin.resume().on('end', () => process.exit());
