import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Client } from 'pg';
import { clusterFiles, findPostmaster, processesOf } from '../../ops/dev/cluster.ts';
import { type RunningPostgres, startPostgres, stopPostgres } from '../../ops/dev/embedded-postgres.ts';
import { until } from '../../ops/dev/processes.ts';

const SETTINGS = { fsync: 'off' };
const dirs: string[] = [];
const bases: string[] = [];

/** A folder of the test's own, entered by everybody as a project usually is; swept with the run, were it killed. */
function folder(): string {
  const dir = mkdtempSync(join(process.env['TEST_CLUSTER_DIR'] ?? tmpdir(), 'launcher-'));
  chmodSync(dir, 0o755);
  dirs.push(dir);
  return dir;
}

async function start(dataDir: string, options: { port?: number; log?: (line: string) => void } = {}) {
  const running = await startPostgres({ dataDir, settings: SETTINGS, ...options });
  bases.push(running.base);
  return running;
}

async function run(url: string, statement: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

/** A launcher in a process of its own, as `npm start` is; its first line of output is the address. */
function launch(dataDir: string): { child: ChildProcess; url: Promise<string> } {
  const module = join(process.cwd(), 'ops/dev/embedded-postgres.ts');
  const script = `
    import { startPostgres } from ${JSON.stringify(`file://${module}`)};
    const { url } = await startPostgres(${JSON.stringify({ dataDir, settings: SETTINGS })});
    console.log(url);
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  const url = new Promise<string>((done, fail) => {
    child.stdout.once('data', (line: Buffer) => done(line.toString().trim()));
    child.stderr.once('data', (line: Buffer) => fail(new Error(line.toString())));
  });
  return { child, url };
}

function killHard(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    child.once('exit', () => done());
    child.kill('SIGKILL');
  });
}

async function listenSomewhere(): Promise<{ server: Server; port: number }> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return { server, port: (server.address() as { port: number }).port };
}

let shared: string;

/** Made once, in the first test, for all that need a cluster that exists already and leave it whole. */
beforeAll(() => {
  shared = join(folder(), 'pg');
});

afterEach(async () => {
  if (existsSync(shared)) await stopPostgres(shared);
});

afterAll(async () => {
  for (const base of bases) {
    await stopPostgres(base);
    rmSync(base, { recursive: true, force: true });
  }
  for (const dir of dirs) {
    await stopPostgres(join(dir, 'pg'));
    rmSync(dir, { recursive: true, force: true });
  }
});

describe('the embedded PostgreSQL', () => {
  it('starts from nothing, keeps its data and its port for the second start, and leaves no process when stopped', async () => {
    const dir = shared;
    const first = await start(dir);
    await run(first.url, 'CREATE TABLE kept AS SELECT 42 AS answer');
    await first.stop();
    expect(processesOf(clusterFiles(first.base).data)).toEqual([]);

    const second = await start(dir);
    expect(second).toMatchObject({ reused: false, port: first.port, url: first.url });
    expect(await run(second.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  });

  it('lets nobody in without the password, which only its owner can read, and listens on the loopback alone', async () => {
    const { url, base } = await start(shared);
    const withPassword = (password: string): string => url.replace(/:[^:@]+@/, `:${password}@`);
    await expect(run(withPassword('guess'), 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
    for (const name of ['launcher.json', 'postgres.log']) {
      expect(statSync(join(base, name)).mode & 0o077).toBe(0);
    }
    expect(await run(url, 'SHOW listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
    expect(await run(url, 'SHOW unix_socket_directories')).toEqual([{ unix_socket_directories: '' }]);
  });

  it('is found again and taken over when the launcher was killed', async () => {
    const dir = join(folder(), 'pg');
    const { child, url } = launch(dir);
    const address = await url;
    await run(address, 'CREATE TABLE kept (id int)');
    await killHard(child);

    const next = await start(dir);
    expect(next).toMatchObject({ reused: true, url: address });
    expect(await run(next.url, 'SELECT * FROM kept')).toEqual([]);
    await next.stop();
    expect(processesOf(clusterFiles(next.base).data)).toEqual([]);
  });

  it('starts again when the server was killed while a call was at work, and ends what that call left behind', async () => {
    const dir = join(folder(), 'pg');
    const first = await start(dir);
    await run(first.url, 'CREATE TABLE kept AS SELECT 1 AS id; CHECKPOINT');
    const busy = run(first.url, 'SELECT count(*) FROM generate_series(1, 1000000000)').catch(() => 'cut');
    const data = clusterFiles(first.base).data;
    await until(() => processesOf(data).length > 1, 2_000);
    process.kill(first.pid, 'SIGKILL');

    const second = await start(dir);
    expect(second.pid).not.toBe(first.pid);
    expect(await busy).toBe('cut');
    expect(await run(second.url, 'SELECT id FROM kept')).toEqual([{ id: 1 }]);
  });

  it('is not misled by a stale postmaster.pid and a stale lock that name living processes', async () => {
    const dir = shared;
    const first = await start(dir);
    await first.stop();
    const data = clusterFiles(first.base).data;
    writeFileSync(join(data, 'postmaster.pid'), `${String(process.pid)}\n${data}\n1\n${String(first.port)}\n\n\n\n`);
    writeFileSync(clusterFiles(dir).lock, '1@0 0b7f3f4e');
    const second = await start(dir);
    expect(second.reused).toBe(false);
    expect(findPostmaster(data)?.pid).toBe(second.pid);
  });

  it('is started once by launchers that start at the same moment', async () => {
    const dir = join(folder(), 'pg');
    const launchers = [launch(dir), launch(dir), launch(dir)];
    const urls = await Promise.all(launchers.map(({ url }) => url));
    expect(new Set(urls).size).toBe(1);
    for (const { child } of launchers) await killHard(child);
    const { data } = clusterFiles(dir);
    const masters = processesOf(data).filter((pid) => pid === findPostmaster(data)?.pid);
    expect(masters).toHaveLength(1);
  });

  it('makes anew a data directory whose making was interrupted, and keeps aside one that was damaged', async () => {
    const dir = join(folder(), 'pg');
    const { child, url } = launch(dir);
    url.catch(() => undefined);
    expect(
      await until(() => existsSync(dir) && readdirSync(dir).some((name) => name.startsWith('draft-')), 5_000),
    ).toBe(true);
    await killHard(child);
    const first = await start(dir);
    expect(await run(first.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(readdirSync(dir).filter((name) => name.startsWith('draft-'))).toEqual([]);
    await first.stop();

    rmSync(join(dir, 'data', 'global', 'pg_control'));
    const said: string[] = [];
    const second = await start(dir, { log: (line) => said.push(line) });
    expect(await run(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(said.join()).toMatch(/not a whole database: it was moved to .*broken/);
  });

  it('takes another port when the remembered one is taken, and says so when a wished one is', async () => {
    const dir = shared;
    const first = await start(dir);
    await first.stop();
    const server = createServer();
    await new Promise<void>((done) => server.listen(first.port, '127.0.0.1', done));
    try {
      const second = await start(dir);
      expect(second.port).not.toBe(first.port);
      await second.stop();
    } finally {
      server.close();
    }
    const other = await listenSomewhere();
    try {
      await expect(start(dir, { port: other.port })).rejects.toThrow(`Port ${String(other.port)} is taken`);
    } finally {
      other.server.close();
    }
  });

  it('says in one sentence what to do with data of another major version, and when its password is lost', async () => {
    const dir = shared;
    const first = await start(dir);
    await first.stop();
    const version = join(dir, 'data', 'PG_VERSION');
    const original = readFileSync(version);
    writeFileSync(version, '12\n');
    await expect(start(dir)).rejects.toThrow(/was made by PostgreSQL 12.*move that folder away.*or set DATABASE_URL/);
    writeFileSync(version, original);
    renameSync(join(dir, 'launcher.json'), join(dir, 'lost.json'));
    await expect(start(dir)).rejects.toThrow(/launcher\.json.*is missing or damaged: put it back, or remove/);
    renameSync(join(dir, 'lost.json'), join(dir, 'launcher.json'));
  });

  it('works from a folder that PostgreSQL cannot use, and finds the same data at the next start', async () => {
    const closed = folder();
    // Root may enter it and PostgreSQL's user may not; anybody else may not write there.
    chmodSync(closed, process.getuid?.() === 0 ? 0o700 : 0o500);
    const dir = join(closed, 'project', '.data', 'pg');
    const said: string[] = [];
    const first = await start(dir, { log: (line) => said.push(line) });
    dirs.push(dirname(first.base));
    expect(first.base.startsWith(closed)).toBe(false);
    expect(said.join()).toContain(`it is kept in ${first.base}`);
    await run(first.url, 'CREATE TABLE kept (id int)');
    await first.stop();
    const second: RunningPostgres = await start(dir);
    expect(second.base).toBe(first.base);
    expect(await run(second.url, 'SELECT * FROM kept')).toEqual([]);
  });
});
