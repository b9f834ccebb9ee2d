import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';

const KEEP_MS = 60_000;
const MOST = 1000;

/**
 * Accesses whose key was opened within the last minute: opening one costs about 0.6 ms, more than the rest of a
 * read. Bounded, and a changed key (another version) never meets an old entry.
 */
@Injectable()
export class OpenedKeys {
  private readonly kept = new Map<string, { access: KlaviyoAccess; until: number }>();

  constructor(private readonly clock: Clock) {}

  get(connectionId: string, keyVersion: number): KlaviyoAccess | undefined {
    const name = `${connectionId} ${keyVersion}`;
    const entry = this.kept.get(name);
    if (!entry) return undefined;
    if (entry.until > this.clock.now()) return entry.access;
    this.kept.delete(name);
    return undefined;
  }

  keep(connectionId: string, keyVersion: number, access: KlaviyoAccess): void {
    const oldest = this.kept.size >= MOST ? this.kept.keys().next().value : undefined;
    if (oldest !== undefined) this.kept.delete(oldest);
    this.kept.set(`${connectionId} ${keyVersion}`, { access, until: this.clock.now() + KEEP_MS });
  }

  forget(connectionId: string, keyVersion: number): void {
    this.kept.delete(`${connectionId} ${keyVersion}`);
  }
}
