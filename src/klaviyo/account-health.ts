import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { Alerts } from '../observability/alerts';
import { Metrics } from '../observability/metrics';
import { CircuitSystemRepository } from './circuit.system.repository';

/** The circuit opens after that many failures in a row, once they are spread over that long. */
const FAILURES = 20;
const SPREAD_MS = 10_000;
/** An account that is well for that long is told to be; one that comes and goes is told of once. */
const QUIET_SECONDS = 60;
/** Accounts that nobody asks about any more leave in order of their first failure. */
const MOST_SICK = 10_000;

interface Sickness {
  /** Since the last answer of Klaviyo's own: transport failures, 5xx, half answers and pages of others. */
  failures: number;
  /** Of them, those that count for the circuit: no answer, or a 5xx. */
  unanswered: number;
  /** Of the first unanswered one. */
  since: number;
}

/**
 * Knows which accounts Klaviyo does not answer for: opens their circuit, closes it again, and tells. Each process counts
 * its own failures; a circuit that one of them opened is open for all, since whatever starts asks the shared row.
 */
@Injectable()
export class AccountHealth {
  private readonly logger = new Logger('KlaviyoHealth');
  /** An account that answers is not in it. */
  private readonly sick = new Map<string, Sickness>();
  /** Accounts that have answered this process. */
  private readonly met = new Set<string>();
  /** Accounts whose circuit this process knows to be open. */
  private readonly open = new Set<string>();
  /** By account: a change of its circuit that is on its way to the database. */
  private readonly writing = new Map<string, Promise<unknown>>();
  private readonly listeners: ((accountId: string) => void)[] = [];

  constructor(
    private readonly circuits: CircuitSystemRepository,
    private readonly clock: Clock,
    private readonly alerts: Alerts,
    private readonly metrics: Metrics,
  ) {}

  onRecovered(listener: (accountId: string) => void): void {
    this.listeners.push(listener);
  }

  /** Resolves when what this process knows of the account's circuit is what all others see. */
  written(accountId: string): Promise<unknown> {
    return this.writing.get(accountId) ?? Promise.resolve();
  }

  /** No answer, or a 5xx. */
  failed(accountId: string): void {
    const now = this.clock.now();
    const sickness = this.sicknessOf(accountId);
    if (sickness.unanswered === 0) sickness.since = now;
    sickness.failures += 1;
    sickness.unanswered += 1;
    if (this.open.has(accountId)) this.write('stays open', accountId, () => this.circuits.open(accountId));
    else if (sickness.unanswered >= FAILURES && now - sickness.since >= SPREAD_MS) this.opens(accountId, sickness);
  }

  /**
   * Half an answer, or a page of something between: the circuit closes, as at any HTTP answer below 500, but the account
   * is not well before Klaviyo itself answers.
   */
  garbled(accountId: string): void {
    this.sicknessOf(accountId).failures += 1;
    this.heard(accountId);
  }

  /**
   * Klaviyo itself answered, whatever it said. The first answer for an account is a recovery too: a process that knew
   * it to be sick may have died of it, and what waits must not wait on.
   */
  answered(accountId: string): void {
    this.heard(accountId);
    const sickness = this.sick.get(accountId);
    const isNew = this.meets(accountId);
    if (sickness === undefined && !isNew) return;
    this.sick.delete(accountId);
    if (sickness) this.logger.log({ msg: 'Klaviyo answers again', accountId, failures: sickness.failures });
    for (const listener of this.listeners) {
      try {
        listener(accountId);
      } catch {
        this.logger.error({ msg: 'a listener of the recovery failed', accountId });
      }
    }
  }

  /** What the shared row said when something wanted to start: another replica may have opened or closed the circuit. */
  noticed(accountId: string, state: 'closed' | 'open' | 'probe'): void {
    if (state === 'closed') {
      if (this.open.delete(accountId)) this.gauge();
      return;
    }
    if (this.open.has(accountId)) return;
    this.open.add(accountId);
    // An answer to the probe is a recovery, although this process saw no failure.
    this.sicknessOf(accountId);
    this.gauge();
  }

  private heard(accountId: string): void {
    const sickness = this.sick.get(accountId);
    if (sickness) sickness.unanswered = 0;
    if (this.open.has(accountId)) this.closes(accountId);
  }

  private opens(accountId: string, { unanswered, since }: Sickness): void {
    this.open.add(accountId);
    this.gauge();
    const seconds = Math.round((this.clock.now() - since) / 1000);
    this.logger.warn({ msg: 'the circuit opens: Klaviyo does not answer', accountId, failures: unanswered, seconds });
    this.write('opens', accountId, () => this.circuits.open(accountId));
    this.alerts.raise({
      type: 'klaviyo.unavailable',
      key: keyOf(accountId),
      severity: 'critical',
      summary: `Klaviyo has not answered for account ${accountId}: ${unanswered} failures in a row. Calls are refused and retried every few seconds.`,
    });
  }

  private closes(accountId: string): void {
    this.open.delete(accountId);
    this.gauge();
    this.logger.log({ msg: 'the circuit closes', accountId });
    this.write('closes', accountId, () => this.circuits.close(accountId));
    this.alerts.resolve(keyOf(accountId), QUIET_SECONDS);
  }

  /** Without the database nothing starts at all, and a probe is given up by itself: a write that fails is only said. */
  private write(what: string, accountId: string, work: () => Promise<void>): void {
    const task = this.written(accountId)
      .then(work)
      .catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : 'unknown';
        this.logger.warn({ msg: `that the circuit ${what} was not written down`, accountId, reason });
      })
      .finally(() => {
        if (this.writing.get(accountId) === task) this.writing.delete(accountId);
      });
    this.writing.set(accountId, task);
  }

  private meets(accountId: string): boolean {
    if (this.met.has(accountId)) return false;
    if (this.met.size >= MOST_SICK) this.met.clear();
    this.met.add(accountId);
    return true;
  }

  private sicknessOf(accountId: string): Sickness {
    const known = this.sick.get(accountId);
    if (known) return known;
    const oldest = this.sick.size >= MOST_SICK ? this.sick.keys().next().value : undefined;
    if (oldest !== undefined) this.sick.delete(oldest);
    const sickness = { failures: 0, unanswered: 0, since: 0 };
    this.sick.set(accountId, sickness);
    return sickness;
  }

  private gauge(): void {
    this.metrics.klaviyoCircuitsOpen.set(this.open.size);
  }
}

function keyOf(accountId: string): string {
  return `klaviyo.unavailable:${accountId}`;
}
