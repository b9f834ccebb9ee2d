import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '../support/database';

const HOOK = join(process.cwd(), 'test', 'support', 'run-ts.cjs');
const MAIN = join(process.cwd(), 'src', 'main.ts');
const SERVICE_KEY = 's'.repeat(40);

interface Run {
  child: ChildProcess;
  out: () => string;
  err: () => string;
  /** Exit code and signal, once it has ended. */
  ended: Promise<[number | null, string | null]>;
}

/** The service as a process of its own, in a folder of its own so that no `.env` of a developer reaches it. */
function run(folder: string, env: Record<string, string>): Run {
  const child = spawn(process.execPath, ['-r', HOOK, MAIN], {
    cwd: folder,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  return { child, out: () => out, err: () => err, ended };
}

async function listeningAt(service: Run): Promise<string> {
  const deadline = Date.now() + 25_000;
  for (;;) {
    const url = /Listening on (http:\/\/[\d.:]+)/.exec(service.out())?.[1];
    if (url !== undefined) return url;
    if (service.child.exitCode !== null || Date.now() > deadline)
      throw new Error(`It does not start:\n${service.out()}${service.err()}`);
    await wait(25);
  }
}

describe('the process', () => {
  let folder: string;
  let database: TestDatabase;
  const running = new Set<Run>();
  const start = (env: Record<string, string> = {}) => {
    const service = run(folder, { ...variables(), ...env });
    running.add(service);
    void service.ended.then(() => running.delete(service));
    return service;
  };
  const variables = () => ({
    NODE_ENV: 'test',
    PORT: '0',
    DATABASE_URL: database.url,
    MIGRATE_ON_START: 'false',
    SERVICE_API_KEYS: `spec:${SERVICE_KEY}`,
    ENCRYPTION_KEYS: `t1:${Buffer.alloc(32, 1).toString('base64')}`,
    KLAVIYO_API_BASE_URL: 'http://127.0.0.1:9',
  });
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'edge-process-'));
    database = await createDatabase();
  });
  afterEach(async () => {
    for (const service of [...running]) {
      service.child.kill('SIGKILL');
      await service.ended;
    }
  });
  afterAll(async () => {
    await database.drop();
    rmSync(folder, { recursive: true });
  });

  it('says every fault of the environment, one line each and without values, and ends with 1', async () => {
    const service = start({ PORT: 'needle', ENCRYPTION_KEYS: '', DATABASE_URL: 'needle://x' });
    expect(await service.ended).toEqual([1, null]);
    const lines = service.err().trim().split('\n');
    expect(lines.map((line) => line.split(' ')[0]).sort()).toEqual(['DATABASE_URL', 'ENCRYPTION_KEYS', 'PORT']);
    expect(service.err()).not.toContain('needle');
  });

  it('says in one sentence that its port is taken, and ends with 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const service = start({ PORT: String(port) });
    expect(await service.ended).toEqual([1, null]);
    expect(service.err()).toBe(`127.0.0.1:${port} is taken by another program: set PORT to another port.\n`);
    other.close();
  });

  it('waits ten seconds for its database, then says in one sentence that it is away, without its password', async () => {
    const away = new URL(database.url);
    away.port = '9';
    away.password = 'needle';
    const began = Date.now();
    const service = start({ DATABASE_URL: away.toString(), MIGRATE_ON_START: 'true' });
    expect(await service.ended).toEqual([1, null]);
    expect(Date.now() - began).toBeGreaterThan(8_500);
    expect(service.err()).toBe('PostgreSQL cannot be reached: check DATABASE_URL and that the database is up.\n');
    expect(service.out()).not.toContain('needle');
    expect(service.out()).toContain('cannot be reached yet');
  });

  it('says in one sentence that it may not enter its database', async () => {
    const closed = new URL(database.url);
    closed.pathname = '/no_such_database';
    const service = start({ DATABASE_URL: closed.toString() });
    expect(await service.ended).toEqual([1, null]);
    expect(service.err()).toMatch(/^The service cannot start: database "no_such_database" does not exist\n$/);
  });

  it('reads what .env adds in development and test, and what is set already wins', async () => {
    writeFileSync(join(folder, '.env'), 'PORT=needle\nTHROTTLE_LIMIT=wrong\n');
    try {
      const service = start({ PORT: '0' });
      expect(await service.ended).toEqual([1, null]);
      expect(service.err()).toMatch(/^THROTTLE_LIMIT .*\n$/);
    } finally {
      rmSync(join(folder, '.env'));
    }
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends with 0 on %s, at once when nothing is open', async (signal) => {
    const service = start();
    const url = await listeningAt(service);
    expect((await fetch(`${url}/health/ready`)).status).toBe(200);
    const asked = Date.now();
    service.child.kill(signal);
    expect(await service.ended).toEqual([0, null]);
    expect(Date.now() - asked).toBeLessThan(5_000);
    expect(service.err()).toBe('');
  });

  it('ends within ten seconds though a caller is in the middle of a body, and answers it 503', async () => {
    const service = start();
    const { hostname, port } = new URL(await listeningAt(service));
    const socket = connect(Number(port), hostname);
    socket.write(
      `POST /api/klaviyo/connect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${SERVICE_KEY}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"userId"',
    );
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString()));
    socket.on('error', () => undefined);
    await wait(200);
    const asked = Date.now();
    service.child.kill('SIGTERM');
    expect(await service.ended).toEqual([0, null]);
    expect(Date.now() - asked).toBeLessThan(10_500);
    expect(answer).toMatch(/^HTTP\/1.1 503 /);
    expect(answer.toLowerCase()).toContain('retry-after: 5');
    expect(answer).toContain('"code":"SERVICE_UNAVAILABLE"');
  });
});
