/** The Klaviyo sandbox as a program: see README.md beside it. */
import { parseArgs } from 'node:util';
import type { AddressInfo } from 'node:net';
import { createDemo } from './demo.ts';
import { Sandbox } from './sandbox.ts';
import { makeServer } from './server.ts';
import { startTicking } from './ticking.ts';

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: process.env.SANDBOX_PORT ?? '0' },
    host: { type: 'string', default: process.env.SANDBOX_HOST ?? '127.0.0.1' },
    seed: { type: 'string', default: process.env.SANDBOX_SEED ?? '1' },
    demo: { type: 'boolean', default: process.env.SANDBOX_DEMO === 'true' },
    quiet: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    'with-parent': { type: 'boolean', default: false },
  },
});

const LOOPBACK = ['127.0.0.1', '::1', 'localhost'];

function fail(message: string): never {
  process.stderr.write(`sandbox: ${message}\n`);
  process.exit(1);
}

const port = Number(values.port);
if (!Number.isInteger(port) || port < 0 || port > 65_535) fail('--port must be 0 to 65535');
if (!/^\d+$/.test(values.seed)) fail('--seed must be a whole number');
// Inside a container the network is the fence, and the address must be reachable from the next one.
if (!LOOPBACK.includes(values.host) && process.env.SANDBOX_ALLOW_ANY_HOST !== 'true')
  fail('--host must be loopback (set SANDBOX_ALLOW_ANY_HOST=true inside a container)');

const sandbox = new Sandbox(Number(values.seed));
const demo = values.demo ? createDemo(sandbox) : undefined;
const server = makeServer(sandbox, { verbose: values.verbose && !values.quiet });
startTicking(sandbox);

function stop(): void {
  process.exit(0);
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);
if (values['with-parent']) {
  process.stdin.on('end', stop);
  process.stdin.on('close', stop);
  process.stdin.on('error', stop);
  process.stdin.resume();
}

server.on('error', (error) => {
  fail(error.message);
});
server.listen(port, values.host, () => {
  const { port: bound } = server.address() as AddressInfo;
  const host = values.host.includes(':') ? `[${values.host}]` : values.host;
  const url = `http://${host}:${bound}`;
  process.stdout.write(
    `${JSON.stringify({ ready: true, url, control: `${url}/_sandbox`, ...(demo === undefined ? {} : { demo }) })}\n`,
  );
});
