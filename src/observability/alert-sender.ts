import { Inject, Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import { Clock } from '../common/clock';
import { Drain } from '../common/drain';
import { ENV, type Env } from '../config/env';
import { IncidentsSystemRepository, type DueIncident } from './incidents.system.repository';
import { Metrics } from './metrics';
import { postSigned } from './signed-post';

const TICK_MS = 5000;
const AT_ONCE = 20;
const TIMEOUT_MS = 5000;
/** Longer than the attempts of one turn can take together. */
const LEASE_SECONDS = AT_ONCE * (TIMEOUT_MS / 1000) + 20;
/** Seconds after each failed attempt, about a day in all; then it is given up. */
const PAUSES = [5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 28_800];
const OLD_MS = 3_600_000;

/** Tells `ALERT_WEBHOOK_URL` what is due, one message after the other; every replica may, each message goes once. */
@Injectable()
export class AlertSender implements OnModuleInit, OnModuleDestroy {
  private readonly logger = new Logger('Alerts');
  private readonly listeners: (() => Promise<void>)[] = [];
  private timer: NodeJS.Timeout | undefined;
  private turning: Promise<void> | undefined;
  private again = false;
  private removedAt = 0;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly incidents: IncidentsSystemRepository,
    private readonly metrics: Metrics,
    private readonly clock: Clock,
    private readonly drain: Drain,
  ) {}

  get enabled(): boolean {
    return this.env.alertWebhookUrl !== undefined;
  }

  onModuleInit(): void {
    if (this.enabled) this.timer = setInterval(() => this.wake(), TICK_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.timer);
    await this.turning;
  }

  /** Called with every turn, before anything is sent. */
  onTurn(listener: () => Promise<void>): void {
    this.listeners.push(listener);
  }

  /** Looks now for what is due; while it looks already, once more afterwards. */
  wake(): void {
    if (!this.enabled || this.drain.draining) return;
    this.again = true;
    this.turning ??= this.turns().finally(() => {
      this.turning = undefined;
    });
  }

  private async turns(): Promise<void> {
    while (this.again && !this.drain.draining) {
      this.again = false;
      try {
        for (const listener of this.listeners) await listener();
        await this.turn();
      } catch (error) {
        const reason = error instanceof Error ? error.message : 'unknown';
        this.logger.debug({ msg: 'alerts wait for the database', reason });
      }
    }
  }

  private async turn(): Promise<void> {
    const lease = uuidv4();
    const due = await this.incidents.claim(lease, LEASE_SECONDS, AT_ONCE);
    for (const incident of due) await this.tell(incident, lease);
    if (due.length === AT_ONCE) this.again = true;
    if (this.clock.now() - this.removedAt < OLD_MS) return;
    this.removedAt = this.clock.now();
    await this.incidents.removeOld();
  }

  private async tell(incident: DueIncident, lease: string): Promise<void> {
    const { id, type, attempts } = incident;
    const resolved = incident.resolvedAt !== null;
    const result = await postSigned({
      url: this.env.alertWebhookUrl ?? '',
      secret: this.env.alertWebhookSecret,
      id: `${id}-${resolved ? 'resolved' : 'open'}`,
      body: JSON.stringify(messageOf(incident)),
      now: this.clock.now(),
      timeoutMs: TIMEOUT_MS,
    });
    const status = result.kind === 'answer' ? result.status : undefined;
    if (status !== undefined && status >= 200 && status < 300) {
      this.metrics.alerts.inc({ type, outcome: 'told' });
      return this.incidents.told(id, lease, resolved);
    }
    // 410: the receiver wants no more of this.
    const pause = status === 410 ? undefined : PAUSES[attempts];
    this.metrics.alerts.inc({ type, outcome: pause === undefined ? 'dropped' : 'failed' });
    const reason = result.kind === 'failed' ? result.reason : `answered ${String(status)}`;
    this.logger.warn({ msg: 'an alert was not taken', type, reason, nextInSeconds: pause ?? null });
    return this.incidents.failed(id, lease, pause ?? null);
  }
}

/** The contract's shape; the same for every attempt at the same message. */
function messageOf({ type, severity, userId, connectionId, summary, since, resolvedAt }: DueIncident): object {
  return {
    type,
    severity,
    timestamp: (resolvedAt ?? since).toISOString(),
    data: {
      ...(userId === null ? {} : { userId }),
      ...(connectionId === null ? {} : { connectionId }),
      summary,
      since: since.toISOString(),
      resolved: resolvedAt !== null,
    },
  };
}
