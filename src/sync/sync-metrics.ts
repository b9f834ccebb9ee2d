import { Inject, Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { ENV, type Env } from '../config/env';
import { Metrics } from '../observability/metrics';
import { SyncSystemRepository } from './sync.system.repository';

/** Scrapes come from several sides; the database is asked once in that time. */
const FRESH_MS = 15_000;

/**
 * How old mirrors are and how many runs are at work, over all connections: every replica answers the same, asked of the
 * database when a scrape comes. With no database the last known figures stay.
 */
@Injectable()
export class SyncMetrics {
  private readonly lag: Gauge<'resource'>;
  private readonly late: Gauge<'resource'>;
  private readonly rows: Gauge<'resource'>;
  private readonly runs: Gauge<'status'>;
  private asked: Promise<void> | undefined;
  private askedAt = 0;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly system: SyncSystemRepository,
    metrics: Metrics,
  ) {
    const registers = [metrics.registry];
    this.lag = new Gauge({
      name: 'klaviyo_mirror_lag_seconds',
      help: 'Age of the oldest mirror, by resource',
      labelNames: ['resource'],
      registers,
      collect: () => this.refresh(),
    });
    this.late = new Gauge({
      name: 'klaviyo_mirror_late_connections',
      help: 'Connections whose mirror is older than MIRROR_MAX_AGE_SECONDS, by resource',
      labelNames: ['resource'],
      registers,
      collect: () => this.refresh(),
    });
    this.rows = new Gauge({
      name: 'klaviyo_mirror_rows',
      help: 'Rows of all mirrors as of their last complete pass, by resource',
      labelNames: ['resource'],
      registers,
      collect: () => this.refresh(),
    });
    this.runs = new Gauge({
      name: 'klaviyo_sync_open_runs',
      help: 'Synchronisations that wait and that run',
      labelNames: ['status'],
      registers,
      collect: () => this.refresh(),
    });
  }

  private refresh(): Promise<void> {
    if (this.asked === undefined || Date.now() - this.askedAt > FRESH_MS) {
      this.askedAt = Date.now();
      this.asked = this.ask().catch(() => undefined);
    }
    return this.asked;
  }

  private async ask(): Promise<void> {
    const [lags, open] = await Promise.all([this.system.lags(this.env.mirrorMaxAgeSeconds), this.system.open()]);
    for (const gauge of [this.lag, this.late, this.rows]) gauge.reset();
    for (const { resource, worst, late, rows } of lags) {
      this.lag.set({ resource }, worst);
      this.late.set({ resource }, late);
      this.rows.set({ resource }, rows);
    }
    for (const status of ['queued', 'running'] as const)
      this.runs.set({ status }, open.find((one) => one.status === status)?.runs ?? 0);
  }
}
