import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join, relative } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

const ROOT = process.cwd();
/** Beside node_modules' packages, so that what is built finds them, and away from `dist/`, which may be running. */
const CACHE = join(ROOT, 'node_modules', '.cache');
const START_LIMIT_MS = 60_000;

export interface BuiltService {
  url: string;
  /** What it has written to stdout so far. */
  stdout(): string;
  stop(): Promise<void>;
}

/**
 * Builds the service as `npm run build` does and starts it. Only `nest build` runs the plugin that turns comments and
 * types of the request and answer classes into schemas, so only a built service has the document that users see.
 */
export async function startBuilt(databaseUrl: string, env: Record<string, string> = {}): Promise<BuiltService> {
  const main = await build('openapi');
  const port = await freePort();
  const child = spawn(process.execPath, [main], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      NODE_ENV: 'test',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      MIGRATE_ON_START: 'false',
      SERVICE_API_KEYS: `spec:${'s'.repeat(40)}`,
      ENCRYPTION_KEYS: `t1:${Buffer.alloc(32, 1).toString('base64')}`,
      KLAVIYO_API_BASE_URL: 'http://127.0.0.1:9',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let complained = '';
  let logged = '';
  child.stderr.on('data', (chunk: Buffer) => (complained += chunk.toString()));
  child.stdout.on('data', (chunk: Buffer) => (logged += chunk.toString()));
  const url = `http://127.0.0.1:${port}`;
  await untilLive(url, child, () => complained + logged);
  return { url, stdout: () => logged, stop: () => stop(child) };
}

/**
 * Builds the service into a folder of its own, so that specs that build at the same time do not meet.
 * @returns the program to start
 */
export async function build(name: string): Promise<string> {
  const folder = join(CACHE, name);
  mkdirSync(folder, { recursive: true });
  const tsconfig = join(folder, 'tsconfig.json');
  const compilerOptions = { rootDir: ROOT, outDir: join(folder, 'dist'), incremental: false, sourceMap: false };
  writeFileSync(
    tsconfig,
    JSON.stringify({
      extends: join(ROOT, 'tsconfig.build.json'),
      compilerOptions: { ...compilerOptions, tsBuildInfoFile: null },
      include: [join(ROOT, 'src'), join(ROOT, 'migrations')],
    }),
  );
  const nest = join(ROOT, 'node_modules', '@nestjs', 'cli', 'bin', 'nest.js');
  const child = spawn(process.execPath, [nest, 'build', '--path', relative(ROOT, tsconfig)], { cwd: ROOT });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`nest build failed:\n${said}`);
  return join(folder, 'dist', 'src', 'main.js');
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilLive(url: string, child: ChildProcess, said: () => string): Promise<void> {
  const until = Date.now() + START_LIMIT_MS;
  for (;;) {
    const answer = await fetch(`${url}/health/live`).catch(() => undefined);
    if (answer?.ok) return;
    if (child.exitCode !== null || Date.now() > until) {
      child.kill('SIGKILL');
      throw new Error(`The built service does not start:\n${said()}`);
    }
    await wait(100);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
  await gone;
  clearTimeout(timer);
}
