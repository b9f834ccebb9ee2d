import { createHash } from 'node:crypto';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { Alerts } from '../observability/alerts';
import { Metrics } from '../observability/metrics';
import { ATTEMPT_MS, type ForwardVerdict } from './forward-sending';
import { ForwardTargetsSystemRepository } from './forward-targets.system.repository';
import { ForwardsSystemRepository } from './forwards.system.repository';

/** Longer than a probe takes; its outcome then says when the next one is. */
const PROBE_SECONDS = (2 * ATTEMPT_MS) / 1000;
const FAILING = 'event_forward.failing';
const STOPPED = 'event_forward.stopped';

/**
 * Whether it makes sense to pass events on: while the address fails, one event at a time is tried, ever more seldom;
 * after days, or once it answered 410, it is switched off, and comes back with the first probe that it takes.
 */
@Injectable()
export class ForwardTargetHealth {
  private readonly logger = new Logger('Forwarder');
  /** Of the address. */
  readonly id: string;
  private begun = false;
  private delivered = 0;
  private probed = false;
  private failedTimes = 0;
  private gone = false;

  constructor(
    @Inject(ENV) env: Env,
    private readonly targets: ForwardTargetsSystemRepository,
    private readonly forwards: ForwardsSystemRepository,
    private readonly alerts: Alerts,
    private readonly metrics: Metrics,
  ) {
    this.id = createHash('sha256')
      .update(env.eventForwardUrl ?? '')
      .digest('base64url');
  }

  /** Whether events may go now: all, one (which nobody else tries at the same time), or none. */
  async admission(): Promise<'open' | 'probe' | 'closed'> {
    if (!this.begun) await this.targets.begin(this.id);
    this.begun = true;
    return this.targets.admission(this.id, PROBE_SECONDS);
  }

  /** @param asProbe whether the attempt was made to see how the address does */
  note(verdict: ForwardVerdict, asProbe: boolean): void {
    if (verdict.kind === 'gone') this.gone = true;
    else if (verdict.kind === 'failed' && verdict.who === 'target') this.failedTimes += 1;
    else {
      // Whoever refuses one event is there.
      this.delivered += 1;
      this.probed ||= asProbe;
    }
  }

  /** Tells the others what was seen since the last time. */
  async flush(): Promise<void> {
    const { delivered, probed, failedTimes, gone } = this;
    this.delivered = 0;
    this.probed = false;
    this.failedTimes = 0;
    this.gone = false;
    if (gone) await this.failed(failedTimes + 1, true);
    else if (delivered > 0) await this.succeeded(probed);
    else if (failedTimes > 0) await this.failed(failedTimes, false);
  }

  private async succeeded(probed: boolean): Promise<void> {
    const before = await this.targets.failing(this.id);
    // What began before it was switched off says nothing of how it does since.
    if (!before || (before.stopped && !probed)) return;
    // First: while it is held back, what comes before an event holds it, however long ago it failed.
    if (before.heldBack) await this.forwards.resume(this.id);
    if (!(await this.targets.succeeded(this.id, probed))) return;
    this.metrics.eventForwardStopped.set(0);
    this.alerts.resolve(FAILING);
    this.alerts.resolve(STOPPED);
    if (before.heldBack) this.logger.log({ msg: 'EVENT_FORWARD_URL takes events again' });
  }

  private async failed(times: number, gone: boolean): Promise<void> {
    const state = await this.targets.failed(this.id, times, gone);
    if (!state) return;
    this.metrics.eventForwardStopped.set(state.stopped === null ? 0 : 1);
    if (state.lasting)
      this.alerts.raise({
        type: FAILING,
        key: FAILING,
        severity: 'error',
        summary: 'EVENT_FORWARD_URL does not take received events: they wait, and are passed on once it answers again.',
      });
    if (state.stopped === null) return;
    const why = state.stopped === 'gone' ? 'it answered 410' : 'it has failed for days';
    this.alerts.raise({
      type: STOPPED,
      key: STOPPED,
      severity: 'critical',
      summary: `Nothing is passed on to EVENT_FORWARD_URL any more (${why}): events wait. It is tried again now and then, and at every start.`,
    });
  }
}
