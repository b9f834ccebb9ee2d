import { Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { IdempotencySystemRepository } from './idempotency.system.repository';

const EVERY_MS = 10 * 60_000;

/** Removes expired idempotency answers now and then; each replica does, they do not disturb each other. */
@Injectable()
export class IdempotencySweep implements OnModuleInit, OnModuleDestroy {
  private readonly logger = new Logger('Idempotency');
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly rows: IdempotencySystemRepository) {}

  onModuleInit(): void {
    this.timer = setInterval(() => void this.sweep(), EVERY_MS);
    this.timer.unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.timer);
  }

  private async sweep(): Promise<void> {
    try {
      const removed = await this.rows.removeExpired();
      if (removed > 0) this.logger.debug('Expired answers removed', { removed });
    } catch (error) {
      this.logger.warn('Expired answers could not be removed', { err: error });
    }
  }
}
