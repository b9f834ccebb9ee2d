import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';
import { SyncRunsRepository } from './sync-runs.repository';
import type { SyncRow } from './sync-row';

/** Told what a run looks like now; null when it is gone with its connection. */
type Watcher = (row: SyncRow | null) => void;

interface Watch {
  watchers: Set<Watcher>;
  timer: NodeJS.Timeout;
  looking: boolean;
}

const LOOK_MS = 1000;

/** Looks at runs for whoever watches them: once a second and run, however many do, on whichever replica it runs. */
@Injectable()
export class SyncWatch implements OnModuleDestroy {
  private readonly logger = new Logger('SyncWatch');
  private readonly watches = new Map<string, Watch>();

  constructor(private readonly runs: SyncRunsRepository) {}

  /** @returns how to stop watching */
  watch(userId: number, id: string, watcher: Watcher): () => void {
    const key = `${String(userId)}:${id}`;
    let watch = this.watches.get(key);
    if (!watch) {
      watch = {
        watchers: new Set(),
        timer: setInterval(() => void this.look(userId, id, key), LOOK_MS).unref(),
        looking: false,
      };
      this.watches.set(key, watch);
    }
    watch.watchers.add(watcher);
    return () => this.leave(key, watcher);
  }

  onModuleDestroy(): void {
    for (const { timer } of this.watches.values()) clearInterval(timer);
    this.watches.clear();
  }

  private leave(key: string, watcher: Watcher): void {
    const watch = this.watches.get(key);
    if (!watch) return;
    watch.watchers.delete(watcher);
    if (watch.watchers.size > 0) return;
    clearInterval(watch.timer);
    this.watches.delete(key);
  }

  private async look(userId: number, id: string, key: string): Promise<void> {
    const watch = this.watches.get(key);
    if (!watch || watch.looking) return;
    watch.looking = true;
    try {
      const row = await this.runs.one(userId, null, id);
      for (const watcher of [...watch.watchers]) watcher(row);
    } catch (error) {
      // The database is away, most likely: those who watch hear of it by hearing nothing, and go on afterwards.
      this.logger.debug({ msg: 'a run could not be looked at', reason: error instanceof Error ? error.message : '' });
    } finally {
      watch.looking = false;
    }
  }
}
