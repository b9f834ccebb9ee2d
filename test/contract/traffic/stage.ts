import type { Response } from 'supertest';
import { Clock } from '../../../src/common/clock';
import type { KlaviyoAccess } from '../../../src/klaviyo/klaviyo-access';
import { KlaviyoClient, type KlaviyoCall, type PagesCall } from '../../../src/klaviyo/klaviyo.client';
import type { Operation } from '../../../src/klaviyo/operations';
import { servedAs } from '../../../src/klaviyo/revisions';
import { startApp, type RunningApp } from '../../support/app';
import type { Sandbox, SandboxAccount, SandboxAccountOptions, SandboxRequest } from '../../support/sandbox';
import type { Exchange } from './exchange';
import { RECORD_HEADER, Recorder } from './recorder';
import { watched, type Reads } from './reads';

const API = '/api/v1/klaviyo';

type Method = 'get' | 'post' | 'patch' | 'delete';

/** A clock that shows another time and goes on from there. */
class ShiftedClock extends Clock {
  constructor(private readonly offsetMs: number) {
    super();
  }

  override now(): number {
    return Date.now() + this.offsetMs;
  }
}

/** The real service, the recorder and the sandbox, under one revision and at one time. */
export class Stage {
  private user = 300;
  private readonly accounts: SandboxAccount[] = [];

  private constructor(
    readonly app: RunningApp,
    readonly sandbox: Sandbox,
    private readonly recorder: Recorder,
    /** What the mapping read of answers, by operation. */
    readonly reads: Reads,
    /** Operations of our table that were called. */
    readonly called: ReadonlySet<string>,
    private readonly now: number,
    private readonly accountOptions: SandboxAccountOptions,
  ) {}

  /**
   * @param now epoch milliseconds that the sandbox's clock shows too
   * @param accountOptions of every account
   */
  static async set(
    sandbox: Sandbox,
    base: string,
    now: number,
    accountOptions: SandboxAccountOptions = {},
  ): Promise<Stage> {
    const recorder = await Recorder.start(sandbox.url);
    const reads: Reads = new Map();
    const called = new Set<string>();
    const app = await startApp({
      klaviyoUrl: recorder.url,
      clock: new ShiftedClock(now - Date.now()),
      // Nothing runs in the background: what is sent is what the calls of the story send.
      env: {
        KLAVIYO_API_REVISION: base,
        ROLE: 'api',
        KLAVIYO_MAX_RETRIES: '1',
        PUBLIC_BASE_URL: 'https://hooks.crealia.test',
      },
      prepare: (created) => {
        watch(created.get(KlaviyoClient, { strict: false }), reads, called);
        return Promise.resolve();
      },
    });
    return new Stage(app, sandbox, recorder, reads, called, now, accountOptions);
  }

  /** Where Klaviyo is for the service. */
  get klaviyoUrl(): string {
    return this.recorder.url;
  }

  /** A user without any connection. */
  newUser(): number {
    return ++this.user;
  }

  async account(options: SandboxAccountOptions): Promise<SandboxAccount> {
    const account = await this.sandbox.createAccount({ limits: 'huge', ...this.accountOptions, ...options });
    this.accounts.push(account);
    return account;
  }

  /**
   * A call of a user's by the service. The story is worth nothing where its calls fail unseen.
   * @throws Error when the answer is not the expected one
   */
  async call(expected: number, method: Method, path: string, input: object): Promise<Response> {
    const request = this.app.http[method](`${API}${path}`).set({ ...this.app.asService, 'Accept-Language': 'en' });
    const response = await (method === 'get' || method === 'delete' ? request.query(input) : request.send(input));
    if (response.status !== expected)
      throw new Error(`${method} ${path} ${JSON.stringify(input)}: ${response.status} ${response.text}`);
    return response;
  }

  /** Everything that went to Klaviyo and came back, with the revision that the sandbox answered as. */
  async exchanges(): Promise<Exchange[]> {
    const logs = await Promise.all(this.accounts.map(({ id }) => this.sandbox.requests(id)));
    const strangers = await this.sandbox.control<{ requests: SandboxRequest[] }>('GET', '/requests');
    const served = new Map(
      [...logs.flat(), ...strangers.requests].map((entry) => [entry.headers[RECORD_HEADER], entry.effectiveRevision]),
    );
    return this.recorder.taken().map(({ id, ...record }) => {
      const sent = record.headers['revision'] ?? '';
      // A refused key is refused before the sandbox looks at the revision.
      return { ...record, sent, served: served.get(id) ?? servedAs(sent, this.now) };
    });
  }

  async stop(): Promise<void> {
    await this.app.stop();
    await this.recorder.stop();
  }
}

/** Hands every answer out as one that remembers what is read of it. */
function watch(client: KlaviyoClient, reads: Reads, called: Set<string>): void {
  const noteFor = (operation: Operation) => {
    called.add(operation.name);
    const paths = reads.get(operation.name) ?? new Set<string>();
    reads.set(operation.name, paths);
    return (path: string) => paths.add(path);
  };
  const call = client.call.bind(client);
  client.call = async <T>(access: KlaviyoAccess, operation: Operation, options?: KlaviyoCall) => {
    const note = noteFor(operation);
    const answer = await call<T>(access, operation, options);
    return { ...answer, body: watched(answer.body, note) };
  };
  const pages = client.pages.bind(client);
  client.pages = async function* <A>(access: KlaviyoAccess, operation: Operation, options?: PagesCall) {
    const note = noteFor(operation);
    for await (const page of pages<A>(access, operation, options))
      yield {
        ...page,
        items: watched(page.items, note, 'data'),
        included: watched(page.included, note, 'included'),
      };
  };
}
