import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, Logger } from '@nestjs/common';
import { AlertSender } from './alert-sender';
import { IncidentsSystemRepository, type Incident } from './incidents.system.repository';

export type { Incident } from './incidents.system.repository';

/** Open incidents that a process remembers, so that what repeats costs no statement. */
const MOST_KNOWN = 10_000;

/**
 * Tells operators what they should know of: once when it begins, once when it is over. Nothing of it disturbs the work
 * that it is about: no method throws or is waited for. Without `ALERT_WEBHOOK_URL` it is in the log only.
 */
@Injectable()
export class Alerts {
  private readonly logger = new Logger('Alerts');
  /** Away from the caller's transaction, which an incident neither joins nor outlives. */
  private readonly outside = AsyncLocalStorage.snapshot();
  /** Keys of incidents that are open, as far as this process knows: its own at once, others' within seconds. */
  private known = new Set<string>();

  constructor(
    private readonly incidents: IncidentsSystemRepository,
    private readonly sender: AlertSender,
  ) {
    sender.onTurn(async () => {
      this.known = new Set(await incidents.openKeys(MOST_KNOWN));
    });
  }

  /** Something began. The same `key` again changes nothing until it is over. */
  raise(incident: Incident): void {
    if (this.known.has(incident.key)) return;
    if (this.known.size < MOST_KNOWN) this.known.add(incident.key);
    const { type, userId, connectionId, summary } = incident;
    this.logger.warn({ msg: `alert: ${summary}`, type, userId, connectionId });
    this.write(() => this.incidents.open(incident));
  }

  /**
   * It is over; nothing happens where nobody knew of it.
   * @param seconds of quiet before that is told: what comes and goes is one incident
   */
  resolve(key: string, seconds = 0): void {
    this.known.delete(key);
    this.write(() => this.incidents.resolve(key, seconds));
  }

  /** As `resolve`, for what is said often: asks the database only where an incident is known to be open. */
  resolveKnown(key: string): void {
    if (this.known.has(key)) this.resolve(key);
  }

  private write(work: () => Promise<boolean>): void {
    if (!this.sender.enabled) return;
    this.outside(work).then(
      (changed) => {
        if (changed) this.sender.wake();
      },
      (error: unknown) => {
        const reason = error instanceof Error ? error.message : 'unknown';
        this.logger.warn({ msg: 'an alert could not be written down', reason });
      },
    );
  }
}
