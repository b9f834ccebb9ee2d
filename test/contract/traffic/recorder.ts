import { randomUUID } from 'node:crypto';
import { createServer, request as open, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A call as the recorder saw it; which revision answered, the sandbox's log says. */
export interface Recorded {
  id: string;
  method: string;
  path: string;
  search: string;
  headers: Readonly<Record<string, string>>;
  body: unknown;
  status: number;
  answerType: string;
  answer: unknown;
}

/** Marks each call, so that it is found again in the sandbox's log. */
export const RECORD_HEADER = 'x-recorded-as';

/** Stands between the service and the sandbox and keeps every call and answer, byte for byte on their way. */
export class Recorder {
  private recorded: Recorded[] = [];
  private readonly server: Server;

  private constructor(private readonly target: URL) {
    this.server = createServer((request, response) => void this.pass(request, response));
  }

  static async start(target: string): Promise<Recorder> {
    const recorder = new Recorder(new URL(target));
    await new Promise<void>((done) => recorder.server.listen(0, '127.0.0.1', done));
    return recorder;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** What passed since the last look. */
  taken(): Recorded[] {
    const { recorded } = this;
    this.recorded = [];
    return recorded;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  private async pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const sent = await bytesOf(request);
    const id = randomUUID();
    // The Host stays what the service called, so that the sandbox's links lead back here.
    const onward = open({
      hostname: this.target.hostname,
      port: this.target.port,
      method: request.method,
      path: request.url,
      headers: { ...request.headers, [RECORD_HEADER]: id },
    });
    onward.on('error', () => response.destroy());
    onward.on('response', (answer) => {
      void bytesOf(answer).then((received) => {
        this.recorded.push(recordOf(id, request, sent, answer, received));
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.end(received);
      });
    });
    onward.end(sent);
  }
}

function recordOf(
  id: string,
  request: IncomingMessage,
  sent: Buffer,
  answer: IncomingMessage,
  received: Buffer,
): Recorded {
  const url = new URL(request.url ?? '/', 'http://recorder');
  const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
  return {
    id,
    method: request.method ?? '',
    path: url.pathname,
    search: url.search,
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: sent.length === 0 ? undefined : parsed(sent),
    status: answer.statusCode ?? 0,
    answerType: answer.headers['content-type'] ?? '',
    answer: received.length === 0 ? undefined : parsed(received),
  };
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown;
  } catch {
    return null;
  }
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
