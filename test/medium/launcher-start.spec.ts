import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stopPostgres } from '../../ops/dev/embedded-postgres.ts';
import { listProcesses, until } from '../../ops/dev/processes.ts';

/** Stands for the built service: listens, writes what it was given, drains on SIGTERM. */
const SERVICE = `
const { appendFileSync, renameSync, writeFileSync } = require('node:fs');
const { createServer } = require('node:http');
const server = createServer((request, response) => {
  if (request.url === '/exit') process.exit(7);
  response.statusCode = request.url === '/health/ready' ? 200 : 404;
  response.end('{}');
}).listen(Number(process.env.PORT), '127.0.0.1');
for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => {
  appendFileSync('events.log', 'service ' + name + '\\n');
  setTimeout(() => { appendFileSync('events.log', 'service drained\\n'); process.exit(0); }, 300);
});
writeFileSync('seen.part', JSON.stringify({ ...process.env, execArgv: process.execArgv }));
renameSync('seen.part', 'seen.json');`;

/** Stands for the sandbox, with the same announcement and the same line to its parent. */
const SANDBOX = `
import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
const server = createServer((_request, response) => response.end('{}'));
server.listen(Number(process.argv[process.argv.indexOf('--port') + 1]), '127.0.0.1', () => {
  const url = 'http://127.0.0.1:' + server.address().port;
  console.log(JSON.stringify({ ready: true, url, control: url + '/_sandbox', demo: { accountId: 'DEMO12', privateKey: 'pk_demo_spec' } }));
});
const end = () => { appendFileSync('events.log', 'sandbox ended\\n'); process.exit(0); };
process.stdin.resume().on('close', end);
process.on('SIGTERM', end).on('SIGINT', end);`;

interface Started {
  child: ChildProcess;
  output: () => string;
  ended: Promise<number | null>;
}

let project: string;
let shared: string;
let port: number;
const started: Started[] = [];
const projects: string[] = [];

/** A project of its own: our launcher, everybody's node_modules, a build and a sandbox that do as little as possible. */
function makeProject(): string {
  const dir = mkdtempSync(join(process.env['TEST_CLUSTER_DIR'] ?? tmpdir(), 'start-'));
  projects.push(dir);
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, 'ops', 'dev'), { recursive: true });
  for (const name of readdirSync('ops/dev').filter((file) => file.endsWith('.ts')))
    copyFileSync(join('ops/dev', name), join(dir, 'ops/dev', name));
  copyFileSync('ops/package.json', join(dir, 'ops', 'package.json'));
  symlinkSync(join(process.cwd(), 'node_modules'), join(dir, 'node_modules'));
  mkdirSync(join(dir, 'test', 'sandbox'), { recursive: true });
  writeFileSync(join(dir, 'test', 'sandbox', 'package.json'), '{"type":"module"}');
  writeFileSync(join(dir, 'test', 'sandbox', 'main.ts'), SANDBOX);
  mkdirSync(join(dir, 'dist', 'src'), { recursive: true });
  writeFileSync(join(dir, 'dist', 'src', 'main.js'), SERVICE);
  return dir;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port: found } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return found;
}

function start(env: NodeJS.ProcessEnv = {}): Started {
  const child = spawn(process.execPath, [join(project, 'ops/dev/start.ts')], {
    cwd: project,
    env: { PATH: process.env['PATH'], PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
  const ended = new Promise<number | null>((done) => child.once('close', done));
  const result = { child, output: () => output, ended };
  started.push(result);
  return result;
}

async function startReady(env?: NodeJS.ProcessEnv): Promise<Started> {
  const result = start(env);
  const ready = await until(() => result.output().includes('Ctrl-C stops everything'), 20_000);
  if (!ready) throw new Error(`not ready: ${result.output()}`);
  return result;
}

/** What still runs of the project: command lines name its folder. */
function left(): string[] {
  return listProcesses()
    .map(({ command }) => command)
    .filter((command) => command.includes(project));
}

const readState = (name: string) => JSON.parse(readFileSync(join(project, '.data', name), 'utf8'));
const seen = () => JSON.parse(readFileSync(join(project, 'seen.json'), 'utf8'));
const events = () => readFileSync(join(project, 'events.log'), 'utf8').trim().split('\n');

beforeAll(() => {
  shared = makeProject();
});

beforeEach(async () => {
  project = shared;
  port = await freePort();
});

afterEach(async () => {
  for (const { child, ended } of started.splice(0)) {
    child.kill('SIGTERM');
    await ended;
  }
  for (const name of ['events.log', 'seen.json', '.env']) rmSync(join(project, name), { force: true });
});

afterAll(async () => {
  await stopPostgres(join(shared, '.data', 'postgres'));
  for (const dir of projects) rmSync(dir, { recursive: true, force: true });
});

describe('npm start', () => {
  it('brings everything up with nothing configured, and Ctrl-C takes it down in order without a trace', async () => {
    const first = await startReady();
    const { DATABASE_URL, KLAVIYO_API_BASE_URL, NODE_ENV, SERVICE_API_KEYS, ENCRYPTION_KEYS, JWT_SECRET } = seen();
    expect(NODE_ENV).toBe('development');
    expect(DATABASE_URL).toMatch(/^postgresql:\/\/postgres:[\w-]{32}@127\.0\.0\.1:\d+\/klaviyo$/);
    expect(KLAVIYO_API_BASE_URL).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(Buffer.from(/^dev1:(.+)$/.exec(ENCRYPTION_KEYS)?.[1] ?? '', 'base64')).toHaveLength(32);
    expect(JWT_SECRET.length).toBeGreaterThanOrEqual(32);
    const key = /^dev:(.{32,})$/.exec(SERVICE_API_KEYS)?.[1];
    const said = first.output();
    expect(said).toContain(`curl -sS http://127.0.0.1:${String(port)}/api/v1/klaviyo/connect`);
    expect(said).toContain(`-H 'Authorization: Bearer ${String(key)}'`);
    expect(said).toContain(`{"userId":123,"privateApiKey":"pk_demo_spec"}`);
    expect(said).toContain('npm run demo');
    expect(readState('running.json')).toMatchObject({
      ready: true,
      url: `http://127.0.0.1:${String(port)}`,
      serviceKey: key,
      sandbox: { url: KLAVIYO_API_BASE_URL, privateKey: 'pk_demo_spec' },
    });
    for (const name of ['running.json', 'dev-secrets.json']) {
      expect(statSync(join(project, '.data', name)).mode & 0o077).toBe(0);
    }

    first.child.kill('SIGINT');
    first.child.kill('SIGINT'); // Once from the terminal, once through npm.
    expect(await first.ended).toBe(0);
    expect(events()).toEqual(['service SIGTERM', 'service drained', 'sandbox ended']);
    expect(left()).toEqual([]);
    expect(existsSync(join(project, '.data', 'running.json'))).toBe(false);

    await startReady();
    expect(seen()).toMatchObject({ DATABASE_URL, KLAVIYO_API_BASE_URL, SERVICE_API_KEYS, ENCRYPTION_KEYS });
  });

  it('fills in only what is unset: the environment wins over .env, and a configured key is not shown', async () => {
    writeFileSync(join(project, '.env'), 'SERVICE_API_KEYS=mine:a-key-of-my-own\nLOG_LEVEL=debug\nTHROTTLE_LIMIT=5\n');
    const { output } = await startReady({
      KLAVIYO_API_BASE_URL: 'http://127.0.0.1:9',
      LOG_LEVEL: 'warn',
      PGSSLMODE: 'require',
    });
    expect(seen()).toMatchObject({
      SERVICE_API_KEYS: 'mine:a-key-of-my-own',
      KLAVIYO_API_BASE_URL: 'http://127.0.0.1:9',
      LOG_LEVEL: 'warn',
      THROTTLE_LIMIT: '5',
    });
    expect(seen()).not.toHaveProperty('PGSSLMODE');
    expect(output()).not.toContain('a-key-of-my-own');
    expect(output()).not.toContain('pk_demo_spec');
    expect(readState('running.json')).toMatchObject({ serviceKey: 'a-key-of-my-own', sandbox: null });
  });

  it('refuses a second start while one runs, and a port that another program has, each in one sentence', async () => {
    await startReady();
    const second = start();
    expect(await second.ended).toBe(1);
    expect(second.output()).toMatch(
      /^The service is running already at http:\/\/127\.0\.0\.1:\d+ \(process \d+\): .*\n$/,
    );
    expect((await fetch(`http://127.0.0.1:${String(port)}/health/ready`)).status).toBe(200);

    const beside = start({ DATABASE_URL: 'postgresql://127.0.0.1:9/none' });
    expect(await beside.ended).toBe(1);
    expect(beside.output()).toMatch(/^Port \d+ on 127\.0\.0\.1 is taken by another program: .*PORT=\d+ npm start\n$/);
  });

  it('comes back after its launcher was killed: the service drains by itself, the database is taken over', async () => {
    const first = await startReady();
    const { DATABASE_URL } = seen();
    first.child.kill('SIGKILL');
    await first.ended;
    const second = await startReady();
    expect(events()).toContain('service drained');
    expect(seen().DATABASE_URL).toBe(DATABASE_URL);
    second.child.kill('SIGTERM');
    expect(await second.ended).toBe(0);
    expect(left()).toEqual([]);
  });

  it('stops everything with the exit code of a service that ends by itself', async () => {
    const { ended } = await startReady();
    await fetch(`http://127.0.0.1:${String(port)}/exit`).catch(() => undefined);
    expect(await ended).toBe(7);
    expect(left()).toEqual([]);
  });

  it('brings no convenience in production: the service gets the environment as it is, .env left unread', async () => {
    project = makeProject();
    writeFileSync(join(project, '.env'), 'SERVICE_API_KEYS=mine:a-key-of-my-own\n');
    const { child, ended } = start({ NODE_ENV: 'production' });
    expect(await until(() => existsSync(join(project, 'seen.json')), 10_000)).toBe(true);
    for (const name of ['DATABASE_URL', 'SERVICE_API_KEYS', 'ENCRYPTION_KEYS', 'KLAVIYO_API_BASE_URL']) {
      expect(seen()).not.toHaveProperty(name);
    }
    expect(existsSync(join(project, '.data'))).toBe(false);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  });

  it('says what to do when nothing is installed or built', async () => {
    project = makeProject();
    rmSync(join(project, 'dist'), { recursive: true });
    rmSync(join(project, 'node_modules'));
    const strict = start({ NODE_ENV: 'staging' });
    expect(await strict.ended).toBe(1);
    expect(strict.output()).toMatch(/^There is no build in .*: run npm run build first\.\n$/);
    const convenient = start();
    expect(await convenient.ended).toBe(1);
    expect(convenient.output()).toBe('The packages are not installed: run npm ci first.\n');
  });
});
