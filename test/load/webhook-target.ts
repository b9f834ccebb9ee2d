// Whoever received events are passed on to, in a process of its own: answers 204 at once and counts. Started by
// webhook-forwarding.ts; says where it listens, then, for each message, what has come.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What has come so far. */
export interface Arrived {
  events: number;
  repeats: number;
}

const known = new Set<string>();
let repeats = 0;

const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    const id = String(request.headers['webhook-id']);
    if (known.has(id)) repeats += 1;
    known.add(id);
    response.writeHead(204).end();
  });
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
process.on('message', () => process.send?.({ events: known.size, repeats } satisfies Arrived));
process.once('disconnect', () => process.exit(0));
