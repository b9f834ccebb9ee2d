import type { ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import type { Outgoing } from './api.ts';
import type { FaultKind } from './faults.ts';

/** Puts an answer on the wire, or what a fault makes of it: nothing, half of it, or drop by drop. */
export async function send(response: ServerResponse, outgoing: Outgoing, fault: FaultKind | null): Promise<void> {
  const body = Buffer.from(outgoing.body, 'utf8');
  const headers = { ...outgoing.headers, 'content-length': String(body.length) };
  switch (fault?.kind) {
    case 'reset':
    case 'applyThenReset':
      response.socket?.resetAndDestroy();
      return;
    case 'hang':
      if (fault.where === 'headers') return;
      response.writeHead(outgoing.status, headers);
      response.write(body.subarray(0, Math.floor(body.length / 2)));
      return;
    case 'truncate':
      // A whole message by its framing, half a document by its content.
      response.writeHead(outgoing.status, { ...headers, 'content-length': String(Math.floor(body.length / 2)) });
      response.end(body.subarray(0, Math.floor(body.length / 2)));
      return;
    case 'cut':
      // The line drops in the middle of the document.
      response.writeHead(outgoing.status, headers);
      response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.socket?.destroy());
      return;
    case 'drip':
      response.writeHead(outgoing.status, headers);
      for (let at = 0; at < body.length && !response.destroyed;) {
        const step = Math.max(1, Math.floor(fault.bytesPerSecond / 10));
        response.write(body.subarray(at, at + step));
        at += step;
        await pause(100);
      }
      response.end();
      return;
    default:
      if (outgoing.status === 204) {
        response.writeHead(204, outgoing.headers);
        response.end();
        return;
      }
      response.writeHead(outgoing.status, headers);
      response.end(body);
  }
}
