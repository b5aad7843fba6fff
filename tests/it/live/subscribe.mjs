// A client of live updates: graphql-ws over ws. Says on standard output what happens, a JSON object a line; does what it is
// told on standard input.
import { createInterface } from 'node:readline';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';

const { url, token, headers, retries } = JSON.parse(process.env.SUBSCRIBER);
const say = (event, more) => process.stdout.write(JSON.stringify({ event, ...more }) + '\n');

let socket;
const client = createClient({
  url,
  lazy: false,
  retryAttempts: retries,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 100)),
  connectionParams: token ? { Authorization: token } : undefined,
  webSocketImpl: class extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols, { headers });
      socket = this;
    }
  },
  onNonLazyError: () => {},
  on: {
    connected: () => say('connected'),
    closed: ({ code, reason }) => say('closed', { code, reason }),
  },
});

const dispose = {};
const orders = {
  subscribe: ({ name, query, variables }) => {
    dispose[name] = client.subscribe({ query, variables }, {
      next: ({ data, errors }) => say('next', { name, data, errors }),
      error: (error) => say('error', { name, errors: Array.isArray(error) ? error : String(error) }),
      complete: () => say('complete', { name }),
    });
  },
  dispose: ({ name }) => dispose[name](),
  pause: () => socket.pause(),
  resume: () => socket.resume(),
};
createInterface({ input: process.stdin }).on('line', (line) => {
  const { order, ...more } = JSON.parse(line);
  orders[order](more);
}).on('close', () => process.exit(0));
