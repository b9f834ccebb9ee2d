import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { currentContext } from '../common/request-context';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { MirrorService } from '../mirror/mirror.service';
import { EventsKlaviyo, type AccountMetric } from './events.klaviyo';
import { MetricMirrorRepository } from './metric-mirror.repository';

const KEEP_MS = 60_000;
const MOST = 1000;
/** The catalogue itself needs no Klaviyo: its reader does not wait longer than this for the account's part. */
const PATIENCE_MS = 5000;

/** The metrics of an account: from our mirror while it is fresh, else asked for at most once a minute. */
@Injectable()
export class AccountMetrics {
  private readonly logger = new Logger('Events');
  private readonly kept = new Map<string, { until: number; metrics: Promise<AccountMetric[] | undefined> }>();

  constructor(
    private readonly clock: Clock,
    private readonly connections: ConnectionService,
    private readonly atKlaviyo: EventsKlaviyo,
    private readonly mirror: MirrorService,
    private readonly mirrored: MetricMirrorRepository,
  ) {}

  /** Undefined when there is no mirror and Klaviyo cannot or will not answer; the next call asks again then. */
  async of(connection: Connection): Promise<AccountMetric[] | undefined> {
    const userId = Number(connection.userId);
    const { value } = await this.mirror.read<AccountMetric[] | undefined>(connection, ['metrics'], 'auto', {
      mirror: () => this.mirrored.all(userId, connection.id),
      // Where Klaviyo does not answer, old metrics are worth more than none.
      live: async () => (await this.live(connection)) ?? noneOf(await this.mirrored.all(userId, connection.id)),
    });
    return value;
  }

  /** Klaviyo's own word, at most a minute old; undefined when it cannot or will not answer. */
  async live(connection: Connection): Promise<AccountMetric[] | undefined> {
    const name = `${connection.id} ${connection.keyVersion}`;
    const known = this.kept.get(name);
    if (known && known.until > this.clock.now()) return known.metrics;
    const metrics = this.ask(connection);
    const oldest = this.kept.size >= MOST ? this.kept.keys().next().value : undefined;
    if (oldest !== undefined) this.kept.delete(oldest);
    this.kept.set(name, { until: this.clock.now() + KEEP_MS, metrics });
    const found = await metrics;
    if (found === undefined) this.kept.delete(name);
    return found;
  }

  private async ask(connection: Connection): Promise<AccountMetric[] | undefined> {
    const deadline = Math.min(this.clock.now() + PATIENCE_MS, currentContext()?.deadline ?? Infinity);
    try {
      return await this.atKlaviyo.metrics(await this.connections.accessOf(connection), deadline);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.logger.warn({ msg: 'the metrics are left out', code: error.code, connectionId: connection.id });
      return undefined;
    }
  }
}

function noneOf(metrics: AccountMetric[]): AccountMetric[] | undefined {
  return metrics.length === 0 ? undefined : metrics;
}
