import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Db } from '../../src/database/scope';
import { EncryptionService } from '../../src/encryption/encryption.service';
import { ProblemFilter } from '../../src/http/error.filter';
import { KlaviyoAttempts } from '../../src/klaviyo/attempts';
import { KlaviyoClient } from '../../src/klaviyo/klaviyo.client';
import { startApp } from '../support/app';
import { createDatabase } from '../support/database';
import { startSandbox, type Sandbox } from '../support/sandbox';
import { dump, inside, LeakSearch, newSecrets, play, variablesOf, type Played } from './secrets-stage';

const SLOW = 120_000;

/** Collects what the methods throw, and lets it pass. */
function listen(thrown: unknown[], owner: object, ...names: string[]): void {
  const methods = owner as Record<string, (...args: unknown[]) => unknown>;
  for (const name of names) {
    const original = methods[name];
    if (!original) throw new Error(`no method ${name}`);
    jest.spyOn(methods, name).mockImplementation(async function (this: unknown, ...args: unknown[]) {
      try {
        return await original.apply(this, args);
      } catch (error) {
        thrown.push(error);
        throw error;
      }
    });
  }
}

describe('secrets', () => {
  let sandbox: Sandbox;
  beforeAll(async () => {
    sandbox = await startSandbox();
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    await sandbox.stop();
  });

  const leaks = (played: Played, texts: readonly string[]) => texts.flatMap((text) => played.search.find(text));
  const contactsIn = (played: Played, text: string) => played.contacts.filter((contact) => text.includes(contact));

  describe('of a service that is used, misused and failed by everything around it', () => {
    const thrown: unknown[] = [];
    let played: Played;
    let log = '';
    let tables: { table: string; rows: string }[] = [];
    beforeAll(async () => {
      listen(thrown, KlaviyoAttempts.prototype, 'run');
      listen(thrown, KlaviyoClient.prototype, 'call');
      listen(thrown, Db.prototype, 'forUser', 'system', 'inTransaction', 'inSystemTransaction');
      listen(thrown, EncryptionService.prototype, 'open', 'seal');
      const filter = jest.spyOn(ProblemFilter.prototype, 'catch');
      const secrets = newSecrets();
      const app = await startApp({ klaviyoUrl: sandbox.url, env: variablesOf(secrets) });
      try {
        played = await play(app.url, secrets, sandbox, app.database.url);
        tables = await dump(app.database.url);
      } finally {
        await app.stop();
      }
      log = app.logs.text;
      thrown.push(...filter.mock.calls.map(([error]) => error));
    }, SLOW);

    it('were near every way out: the scenario was rich', () => {
      const statuses = new Set(played.answers.map((answer) => /^\S+ (\d+)/.exec(answer)?.[1]));
      const expected = '200 201 202 400 401 403 404 409 415 429 500 502 504'.split(' ');
      expect(expected.filter((status) => !statuses.has(status))).toEqual([]);
      expect(played.answers.length).toBeGreaterThan(500);
      expect(thrown.length).toBeGreaterThan(300);
      expect(log.split('\n').length).toBeGreaterThan(1000);
      expect(tables.map(({ table }) => table)).toEqual(
        expect.arrayContaining(['public.connection', 'public.sent_event', 'pgboss.job']),
      );
      for (const { table, rows } of tables)
        if (
          ['public.connection', 'public.sent_event', 'public.profile_change', 'public.idempotency_key'].includes(table)
        )
          expect([table, rows.length > 0]).toEqual([table, true]);
    });

    it('are in no answer', () => {
      expect(leaks(played, played.answers)).toEqual([]);
    });

    it('are in no line of the log, at its most talkative; nor is any contact', () => {
      expect(leaks(played, [log])).toEqual([]);
      expect(contactsIn(played, log)).toEqual([]);
    });

    it('are in no row of any table; contacts are in none in the clear, jobs included', () => {
      for (const { table, rows } of tables) {
        expect([table, leaks(played, [rows])]).toEqual([table, []]);
        expect([table, contactsIn(played, rows)]).toEqual([table, []]);
      }
    });

    it('are nowhere inside an error that was thrown, however it is looked at', () => {
      expect(leaks(played, [...new Set(thrown)].map(inside))).toEqual([]);
    });
  });

  it('are found by the search where they are', () => {
    const search = new LeakSearch();
    search.add('key', 'abcdefghijklmnop');
    expect(search.find('x ghijklmnop y')).toHaveLength(1);
    expect(search.find('x ghijklmno y')).toHaveLength(0);
    const error = Object.assign(new Error('x'), { config: { headers: { Authorization: 'abcdefghijklmnop' } } });
    Object.defineProperty(error, 'request', { value: { _header: 'abcdefghijklmnop' }, enumerable: false });
    expect(search.find(inside(error))).toHaveLength(1);
  });

  it(
    'are neither on stdout and stderr of the process nor in its log file',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'secrets-'));
      const database = await createDatabase();
      const secrets = newSecrets();
      const hook = join(process.cwd(), 'test', 'support', 'run-ts.cjs');
      const child = spawn(process.execPath, ['-r', hook, join(process.cwd(), 'src', 'main.ts')], {
        cwd: folder,
        env: {
          PATH: process.env['PATH'],
          NODE_ENV: 'test',
          PORT: '0',
          DATABASE_URL: database.url,
          MIGRATE_ON_START: 'false',
          KLAVIYO_API_BASE_URL: sandbox.url,
          ...variablesOf(secrets),
          LOG_FILE: join(folder, 'log', 'service.log'),
        },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
      try {
        const url = await listening(() => said);
        const played = await play(url, secrets, sandbox, database.url, true);
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        expect(await ended).toEqual([0, null]);
        const files = readdirSync(join(folder, 'log')).map((name) => readFileSync(join(folder, 'log', name), 'utf8'));
        expect(files.join('').split('\n').length).toBeGreaterThan(500);
        expect(leaks(played, [said, ...files])).toEqual([]);
        expect(contactsIn(played, said + files.join(''))).toEqual([]);
      } finally {
        child.kill('SIGKILL');
        await database.drop();
        rmSync(folder, { recursive: true });
      }
    },
    SLOW,
  );
});

async function listening(said: () => string): Promise<string> {
  const deadline = Date.now() + 40_000;
  for (;;) {
    const url = /Listening on (http:\/\/[\d.:]+)/.exec(said())?.[1];
    if (url !== undefined) return url;
    if (Date.now() > deadline) throw new Error(`It does not start:\n${said()}`);
    await wait(25);
  }
}
