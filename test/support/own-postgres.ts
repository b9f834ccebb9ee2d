import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, type RunningPostgres } from '../../ops/dev/embedded-postgres';
import { migrate } from '../../src/database/migrate';

/** A migrated PostgreSQL of a test's own, which can be stopped and started again. */
export class OwnPostgres {
  private constructor(
    private readonly folder: string,
    private running: RunningPostgres,
  ) {}

  static async open(): Promise<OwnPostgres> {
    const folder = mkdtempSync(join(tmpdir(), 'own-postgres-'));
    chmodSync(folder, 0o711); // PostgreSQL runs as another user when we are root.
    const postgres = new OwnPostgres(folder, await started(folder));
    await migrate(postgres.url);
    return postgres;
  }

  get url(): string {
    return this.running.url;
  }

  async stop(): Promise<void> {
    await this.running.stop();
  }

  async start(): Promise<void> {
    this.running = await started(this.folder);
  }

  /** Stops it and removes its folder. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function started(folder: string): Promise<RunningPostgres> {
  return startPostgres({ dataDir: join(folder, 'postgres'), settings: { fsync: 'off' } });
}
