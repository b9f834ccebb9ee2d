import { Injectable, Logger } from '@nestjs/common';

/** Remembers, in this process, which accounts Klaviyo does not answer for, and tells when one answers again. */
@Injectable()
export class AccountHealth {
  private readonly logger = new Logger('KlaviyoHealth');
  /** Failures in a row, by account; an account that answers is not in it. */
  private readonly failures = new Map<string, number>();
  private readonly listeners: ((accountId: string) => void)[] = [];

  onRecovered(listener: (accountId: string) => void): void {
    this.listeners.push(listener);
  }

  /** No answer, or a 5xx. */
  failed(accountId: string): void {
    this.failures.set(accountId, (this.failures.get(accountId) ?? 0) + 1);
  }

  /** Klaviyo itself answered, whatever it said. */
  answered(accountId: string): void {
    const failures = this.failures.get(accountId);
    if (failures === undefined) return;
    this.failures.delete(accountId);
    this.logger.log({ msg: 'Klaviyo answers again', accountId, failures });
    for (const listener of this.listeners) {
      try {
        listener(accountId);
      } catch {
        this.logger.error({ msg: 'a listener of the recovery failed', accountId });
      }
    }
  }
}
