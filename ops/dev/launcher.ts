import { join } from 'node:path';
import { type Address, addressOf, ensureFree } from './address.ts';
import { banner } from './banner.ts';
import { build, ensureBuild, entryOf, watchSources } from './build.ts';
import {
  type ExitCode,
  hasSandbox,
  type RunningChild,
  type SandboxAnnouncement,
  startSandbox,
  startService,
  waitUntilReady,
} from './children.ts';
import { choosePort, startPostgres, stopPostgres } from './embedded-postgres.ts';
import { firstServiceKey, isSet, serviceEnvironment, shownServiceKey } from './environment.ts';
import { LauncherError } from './launcher-error.ts';
import { identityOf, isAlive, signal as send, until } from './processes.ts';
import {
  claim,
  developmentSecrets,
  forgetRunning,
  keepSandboxPort,
  lastSandboxPort,
  type Running,
  stateDir,
  writeRunning,
} from './state.ts';

/** The service answers open calls for 8 s after SIGTERM and is gone within 10. */
const DRAIN_MS = 12_000;
const SANDBOX_STOP_MS = 2_000;

/** Runs the whole development set: database, sandbox and service, started in that order and stopped in the reverse. */
export class Launcher {
  readonly #aborter = new AbortController();
  /** What undoes the steps taken so far, the latest last. */
  readonly #closers: (() => Promise<void> | void)[] = [];
  readonly #project: string;
  readonly #watching: boolean;
  /** Settles when something ended that nobody asked to end. */
  readonly #fallen: Promise<ExitCode>;
  #fall: (code: ExitCode) => void = () => undefined;
  #service: RunningChild | undefined;
  /** What is told to others; undefined when another launcher has the project and this one runs beside it. */
  #record: { dir: string; running: Running } | undefined;
  /** Raised around a restart, so that the service's end is not taken for a failure. */
  #restarting = false;
  #closing: Promise<void> | undefined;

  constructor(project: string, options: { watch: boolean }) {
    this.#project = project;
    this.#watching = options.watch;
    this.#fallen = new Promise((done) => (this.#fall = done));
  }

  /**
   * Starts everything and runs until it is stopped or the service ends.
   *
   * @returns the exit code: 0 when stopped, else the service's
   */
  async run(): Promise<ExitCode> {
    try {
      await this.#start();
      return await this.#fallen;
    } catch (error) {
      if (this.#aborter.signal.aborted) return 0;
      throw error;
    } finally {
      await this.#close();
    }
  }

  /** Stops everything in order: the service drains first, then the sandbox, then PostgreSQL. */
  stop(): void {
    this.#aborter.abort();
    this.#fall(0);
  }

  /** Ends what does not end by itself; PostgreSQL survives it well and is found again by the next start. */
  kill(): void {
    if (this.#service) send(this.#service.pid, 'SIGKILL');
  }

  async #start(): Promise<void> {
    const { signal } = this.#aborter;
    await ensureBuild(this.#project, signal, say);
    signal.throwIfAborted();
    const state = stateDir(this.#project, say);
    const address = addressOf(process.env);
    await this.#claim(state, address?.url ?? '');
    if (address) await ensureFree(address);
    const secrets = developmentSecrets(state);
    const database = isSet('DATABASE_URL') ? undefined : await this.#startDatabase(state);
    signal.throwIfAborted();
    const sandbox = isSet('KLAVIYO_API_BASE_URL') ? undefined : await this.#startSandbox(state);
    signal.throwIfAborted();
    const env = serviceEnvironment(secrets, { databaseUrl: database?.url, klaviyoUrl: sandbox?.url });
    const ready = await this.#startService(env, address);
    if (!ready && !this.#watching) return;
    this.#note({
      ready: true,
      serviceKey: firstServiceKey(secrets),
      sandbox: sandbox ? { url: sandbox.url, control: sandbox.control, ...sandbox.demo } : null,
    });
    if (ready && address) {
      print(
        banner({
          url: address.url,
          docs: process.env['DOCS_ENABLED'] !== 'false',
          serviceKey: shownServiceKey(secrets),
          sandbox: sandbox && { url: sandbox.url, privateKey: sandbox.demo.privateKey },
          klaviyo: process.env['KLAVIYO_API_BASE_URL'],
          database: database?.base,
        }),
      );
    }
    if (this.#watching) this.#watch(env, address);
  }

  /** Takes the project for this launcher, unless another has it and a database of its own allows to run beside it. */
  async #claim(state: string, url: string): Promise<void> {
    const claimed = await claim(state, url);
    if ('holder' in claimed) {
      if (isSet('DATABASE_URL')) return;
      const { launcher, ready, url: where } = claimed.holder;
      const pid = launcher.split('@')[0] ?? '';
      throw new LauncherError(
        `The service is ${ready ? 'running' : 'being started'} already at ${where} (process ${pid}): use that one, stop it with Ctrl-C or kill ${pid}, or set DATABASE_URL and PORT to run a second one.`,
      );
    }
    this.#record = { dir: state, running: claimed.own };
    this.#closers.push(() => forgetRunning(state));
    const { left } = claimed;
    if (left?.database) this.#closers.push(() => stopPostgres(left.database ?? ''));
    if (left?.service) await endLeftService(left.service);
  }

  /** Tells others what has come to run. */
  #note(news: Partial<Running>): void {
    if (!this.#record) return;
    Object.assign(this.#record.running, news);
    writeRunning(this.#record.dir, this.#record.running);
  }

  async #startDatabase(state: string): Promise<{ url: string; base: string }> {
    const postgres = await startPostgres({ dataDir: join(state, 'postgres'), database: 'klaviyo', log: say });
    this.#closers.push(() => postgres.stop());
    this.#note({ database: postgres.base });
    return postgres;
  }

  async #startSandbox(state: string): Promise<SandboxAnnouncement | undefined> {
    if (!hasSandbox(this.#project)) return undefined;
    const port = await choosePort(lastSandboxPort(state));
    const { child, announcement } = await startSandbox(this.#project, port, this.#aborter.signal);
    this.#closers.push(() => child.stop(SANDBOX_STOP_MS));
    keepSandboxPort(state, port);
    void child.ended.then((code) => {
      if (this.#closing || this.#aborter.signal.aborted) return;
      say(`The Klaviyo sandbox ended by itself (code ${code}): everything is stopped.`);
      this.#fall(code || 1);
    });
    return announcement;
  }

  /** Runs the service and waits for it; false when it ended before it was ready. */
  async #startService(env: NodeJS.ProcessEnv, address: Address | undefined): Promise<boolean> {
    const service = startService(this.#project, entryOf(this.#project), env);
    if (!this.#service) this.#closers.push(() => this.#service?.stop(DRAIN_MS));
    this.#service = service;
    this.#note({ service: identityOf(service.pid) ?? null });
    void service.ended.then((code) => {
      if (this.#restarting || this.#service !== service) return;
      if (this.#watching && !this.#aborter.signal.aborted)
        say(`The service ended (code ${code}): waiting for a change.`);
      else this.#fall(code);
    });
    // Without an address (PORT is no port) the service says so itself and ends.
    if (!address) return service.ended.then(() => false);
    return waitUntilReady(address.url, service, this.#aborter.signal, say);
  }

  /** Rebuilds and restarts the service at every change; a change during a rebuild starts another one after it. */
  #watch(env: NodeJS.ProcessEnv, address: Address | undefined): void {
    const { signal } = this.#aborter;
    let pending = false;
    let working: Promise<void> | undefined;
    const work = async (): Promise<void> => {
      while (pending && !signal.aborted) {
        pending = false;
        if (!(await build(this.#project, signal))) {
          if (!this.#closing) say('The build failed: the service stays as it was, waiting for a change.');
          continue;
        }
        this.#restarting = true;
        await this.#service?.stop(DRAIN_MS);
        this.#restarting = false;
        if (!(await this.#startService(env, address).catch(() => false))) continue;
        say('The service runs with the change.');
      }
    };
    const end = watchSources(this.#project, () => {
      pending = true;
      working ??= work().finally(() => (working = undefined));
    });
    this.#closers.push(async () => {
      end();
      await working;
    });
    say('Watching src/ and migrations/: every change rebuilds and restarts the service.');
  }

  #close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#aborter.abort();
      for (let undo = this.#closers.pop(); undo; undo = this.#closers.pop()) {
        try {
          await undo();
        } catch (error) {
          say(error instanceof Error ? error.message : String(error));
        }
      }
    })();
    return this.#closing;
  }
}

/** A service whose launcher was killed drains by itself; it is given that time before its port is needed. */
async function endLeftService(identity: string): Promise<void> {
  if (!isAlive(identity)) return;
  const pid = Number(identity.split('@')[0]);
  send(pid, 'SIGTERM');
  if (!(await until(() => !isAlive(identity), DRAIN_MS))) send(pid, 'SIGKILL');
}

function say(line: string): void {
  print(line);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
