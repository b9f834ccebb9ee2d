import { createServer } from 'node:net';
import { codeOf, LauncherError } from './launcher-error.ts';

/** Where the service will listen, as the environment says. */
export interface Address {
  host: string;
  port: number;
  /** As a caller on this machine writes it. */
  url: string;
}

/** `HOST` and `PORT` with their defaults; undefined when `PORT` is no port, which the service itself tells. */
export function addressOf(env: NodeJS.ProcessEnv): Address | undefined {
  const host = env['HOST'] || '127.0.0.1';
  const port = Number(env['PORT'] || '3000');
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return { host, port, url: `http://${near.includes(':') ? `[${near}]` : near}:${String(port)}` };
}

/** Makes sure that the service will be able to listen there. @throws LauncherError saying what is in the way */
export async function ensureFree({ host, port }: Address): Promise<void> {
  const failure = await new Promise<Error | undefined>((done) => {
    const server = createServer();
    server.once('error', done);
    server.listen({ host, port, exclusive: true }, () => server.close(() => done(undefined)));
  });
  if (!failure) return;
  switch (codeOf(failure)) {
    case 'EADDRINUSE':
      throw new LauncherError(
        `Port ${port} on ${host} is taken by another program: stop that one, or choose another port: PORT=${port === 65_535 ? 3001 : port + 1} npm start`,
      );
    case 'EACCES':
      throw new LauncherError(`Port ${port} is not yours to listen on: choose one above 1023: PORT=3000 npm start`);
    default:
      throw new LauncherError(`HOST is ${host}, where this machine cannot listen: unset it, or set it to 127.0.0.1.`);
  }
}
