// orders_load.js PORT SECONDS - asks orders_server.js over ten connections, one request after the
// other on each; prints how many were answered.
'use strict';

const http = require('http');

const [port, seconds] = process.argv.slice(2).map(Number);
const agent = new http.Agent({keepAlive: true, maxSockets: 10});
const end = Date.now() + 1000 * seconds;
let requests = 0;

const kinds = [
  {method: 'GET', path: '/totals'},
  {method: 'GET', path: '/orders?customer=customer-7'},
  {method: 'POST', path: '/echo', body: JSON.stringify({list: Array(50).fill('text')})},
];

function ask(number) {
  const {body, ...kind} = kinds[number % kinds.length];
  return new Promise((resolve, reject) => {
    http.request({...kind, port, agent, host: '127.0.0.1'}, (response) => {
      response.resume().on('end', resolve);
    }).on('error', reject).end(body);
  });
}

async function keepAsking() {
  while (Date.now() < end) {
    await ask(requests);
    requests++;
  }
}

Promise.all(Array.from({length: 10}, keepAsking)).then(() => {
  console.log(JSON.stringify({requests}));
  process.exit();
});
