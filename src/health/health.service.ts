import { Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Drain } from '../common/drain';
import { EncryptionService } from '../encryption/encryption.service';

export type CheckState = 'ok' | 'error';

/** What `GET /health/ready` answers. */
export interface Readiness {
  status: CheckState;
  checks: { database: CheckState; migrations: CheckState; keys: CheckState };
}

/** The database must answer within this; a probe of an orchestrator waits about as long. */
const DATABASE_LIMIT_MS = 2000;
/** The address is open to anybody: however often it is asked, the database is asked once in this time. */
const REMEMBER_MS = 500;
const PROBE = { owner: 'service', purpose: 'health-probe' };

/**
 * Says whether this process can do its work now: the database answers, its schema is the one of this build, and the
 * key ring opens what it seals. Klaviyo is not asked: with Klaviyo down the service still answers, and says so.
 */
@Injectable()
export class HealthService {
  private readonly logger = new Logger('Health');
  private migrated = false;
  private keysWork = false;
  private latest: { at: number; result: Promise<Readiness> } | undefined;
  private pending: Promise<unknown> | undefined;

  constructor(
    private readonly dataSource: DataSource,
    private readonly encryption: EncryptionService,
    private readonly drain: Drain,
  ) {}

  /**
   * Runs the checks; those that hold for good once they hold are not repeated. While the process stops, the status is
   * `error` whatever they say, so that load balancers send nobody here while open calls finish.
   */
  async ready(): Promise<Readiness> {
    if (!this.latest || Date.now() - this.latest.at >= REMEMBER_MS)
      this.latest = { at: Date.now(), result: this.check() };
    const readiness = await this.latest.result;
    return this.drain.draining ? { ...readiness, status: 'error' } : readiness;
  }

  private async check(): Promise<Readiness> {
    const [database, keys] = await Promise.all([
      this.passes('database', () => this.answers()),
      this.passes('keys', () => this.opensProbe()),
    ]);
    const migrations = database === 'ok' ? await this.passes('migrations', () => this.isMigrated()) : 'error';
    const checks = { database, migrations, keys };
    return { status: Object.values(checks).every((state) => state === 'ok') ? 'ok' : 'error', checks };
  }

  /** Why a check fails is for the log only. */
  private async passes(name: string, check: () => Promise<boolean>): Promise<CheckState> {
    try {
      if (await within(DATABASE_LIMIT_MS, check())) return 'ok';
      this.logger.warn('Not ready', { check: name });
    } catch (error) {
      this.logger.warn('Not ready', { check: name, err: error });
    }
    return 'error';
  }

  /** A statement that hangs is waited for again instead of being joined by another one at every probe. */
  private async answers(): Promise<boolean> {
    this.pending ??= this.dataSource.query('SELECT 1').finally(() => {
      this.pending = undefined;
    });
    await this.pending;
    return true;
  }

  private async isMigrated(): Promise<boolean> {
    this.migrated ||= !(await this.dataSource.showMigrations());
    return this.migrated;
  }

  private async opensProbe(): Promise<boolean> {
    this.keysWork ||= (await this.encryption.open(await this.encryption.seal('probe', PROBE), PROBE)) === 'probe';
    return this.keysWork;
  }
}

async function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
