import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import { Drain } from '../common/drain';
import { WorkLoop } from '../common/work-loop';
import { ENV, type Env } from '../config/env';
import { Metrics } from '../observability/metrics';
import { ATTEMPT_MS, ForwardSending, MOST_LINES, type ForwardVerdict } from './forward-sending';
import { ForwardTargetHealth } from './forward-target-health';
import { ForwardsSystemRepository, type DueForward, type ForwardSettlement } from './forwards.system.repository';
import { ForwardAlerts } from './forward-alerts';

const LEASE_SECONDS = ATTEMPT_MS / 1000 + 15;
/** Seconds after each failure; then as the last, until the event is a day old in failing. */
const PAUSES = [5, 15, 60, 300, 900, 1800, 3600, 7200, 10_800];
const GIVEN_BACK_SECONDS = 2;

/**
 * Passes on what is planned, of all users, on workers: takes due events under a lease, sends many at once, each
 * profile's in order, and writes the outcomes down in bulk. A process that dies loses nothing: its leases run out.
 */
@Injectable()
export class Forwarder implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly loop: WorkLoop;
  /** What is being sent now. */
  private readonly onWay = new Map<string, ForwardSettlement>();
  private settlements: ForwardSettlement[] = [];

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly system: ForwardsSystemRepository,
    private readonly sending: ForwardSending,
    private readonly target: ForwardTargetHealth,
    private readonly alerts: ForwardAlerts,
    private readonly metrics: Metrics,
    drain: Drain,
  ) {
    const work = {
      name: 'passing events on',
      look: () => this.look(),
      gauge: async () => this.metrics.eventForwardsWaiting.set(await this.system.countWaiting()),
      isBusy: () => this.onWay.size > 0,
    };
    this.loop = new WorkLoop(work, new Logger('Forwarder'), drain);
  }

  onApplicationBootstrap(): void {
    if (this.env.role !== 'api' && this.env.eventForwardUrl !== undefined) this.loop.start();
  }

  /** What is not finished in time is given back, before anything else of the service closes. */
  async onModuleDestroy(): Promise<void> {
    await this.loop.end();
    this.settlements.push(...this.onWay.values());
    // Without a database the leases run out by themselves.
    await this.flush().catch(() => undefined);
  }

  /** Looks for what is due once the transaction under way has had time to end. */
  wakeSoon(): void {
    this.loop.wakeSoon();
  }

  private async look(): Promise<void> {
    await this.flush();
    await this.takeDue();
  }

  private async takeDue(): Promise<void> {
    const room = MOST_LINES - this.onWay.size;
    // A few more at a time cost as much as one.
    if (room < MOST_LINES / 4) return;
    const admission = await this.target.admission();
    if (admission === 'closed') return;
    const lease = uuidv4();
    const isProbe = admission === 'probe';
    const due = await this.system.claim(this.target.id, lease, LEASE_SECONDS, isProbe ? 1 : room);
    for (const one of due) void this.pass(lease, one, isProbe);
  }

  private async pass(lease: string, due: DueForward, isProbe: boolean): Promise<void> {
    const { userId, connectionId, eventId, sequence, event } = due;
    const address = { userId, connectionId, eventId, sequence, lease };
    const key = `${lease} ${eventId}`;
    this.onWay.set(key, { ...address, outcome: 'given back', error: null, pause: GIVEN_BACK_SECONDS });
    const settlement: ForwardSettlement =
      event === null
        ? { ...address, outcome: 'gone', error: 'EVENT_GONE', pause: 0 }
        : { ...address, ...this.judged(due, await this.sending.send(due, event), isProbe) };
    if (!this.onWay.delete(key)) return;
    this.settlements.push(settlement);
    this.loop.wake();
  }

  private judged(
    { attempts }: DueForward,
    verdict: ForwardVerdict,
    isProbe: boolean,
  ): Pick<ForwardSettlement, 'outcome' | 'error' | 'pause'> {
    this.target.note(verdict, isProbe);
    if (verdict.kind === 'delivered') return { outcome: 'delivered', error: null, pause: 0 };
    const pause = PAUSES[Math.min(attempts, PAUSES.length - 1)] ?? 0;
    // That it wants no more is not the event's fault: it waits for the switch.
    if (verdict.kind === 'gone') return { outcome: 'given back', error: 'answered 410', pause };
    return { outcome: 'failed', error: verdict.error, pause };
  }

  private async flush(): Promise<void> {
    await this.target.flush();
    const batch = this.settlements;
    if (batch.length === 0) return;
    this.settlements = [];
    try {
      const settled = await this.system.settle(this.target.id, batch);
      this.alerts.settled(settled);
      for (const { outcome } of batch) this.metrics.eventForwards.inc({ outcome });
    } catch (error) {
      this.settlements.unshift(...batch);
      throw error;
    }
  }
}
