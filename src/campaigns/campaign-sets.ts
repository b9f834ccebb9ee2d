import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import type { Assembly } from './campaign-reader';

const KEEP_MS = 30_000;
const MOST_CAMPAIGNS = 50_000;

/**
 * Sets of campaigns read a moment ago, so that following a cursor does not read everything again. Bounded, and in
 * this process only: a set that is not here is read anew.
 */
@Injectable()
export class CampaignSets {
  private readonly kept = new Map<string, Assembly>();
  private size = 0;

  constructor(private readonly clock: Clock) {}

  get(key: string): Assembly | undefined {
    this.sweep();
    return this.kept.get(key);
  }

  keep(key: string, assembly: Assembly): void {
    this.drop(key);
    this.sweep();
    this.kept.set(key, assembly);
    this.size += assembly.campaigns.length;
    for (const oldest of this.kept.keys()) {
      if (this.size <= MOST_CAMPAIGNS) return;
      this.drop(oldest);
    }
  }

  private sweep(): void {
    const limit = this.clock.now() - KEEP_MS;
    for (const [key, { readAt }] of this.kept) if (readAt <= limit) this.drop(key);
  }

  private drop(key: string): void {
    this.size -= this.kept.get(key)?.campaigns.length ?? 0;
    this.kept.delete(key);
  }
}
