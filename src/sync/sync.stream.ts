import { createHash } from 'node:crypto';
import { Injectable, Logger, StreamableFile, type OnModuleDestroy } from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import type { UserScope } from '../auth/user-scope';
import { Drain } from '../common/drain';
import { AppError } from '../common/errors';
import type { Language } from '../common/messages';
import { currentContext } from '../common/request-context';
import { ConnectionService } from '../connection/connection.service';
import { EventStream } from './event-stream';
import { SyncResponse } from './sync.dto';
import type { SyncRow } from './sync-row';
import { SyncRunsRepository } from './sync-runs.repository';
import { SyncStreamSlotsRepository } from './sync-stream-slots.repository';
import { isOver, syncViewOf } from './sync-view';
import { SyncWatch } from './sync-watch';

const HEARTBEAT_MS = 15_000;
const RETRY_MS = 2000;
/** The token that opened it may be over by then; who still wants it opens it again, and misses nothing. */
const LONGEST_MS = 3_600_000;
const FULL_RETRY_SECONDS = 15;
const DRAIN_RETRY_SECONDS = 5;

/** Shows runs as they go: server-sent events to whoever holds the line open. */
@Injectable()
export class SyncStream implements OnModuleDestroy {
  private readonly logger = new Logger('SyncStream');
  private readonly streams = new Set<EventStream>();

  constructor(
    private readonly connections: ConnectionService,
    private readonly runs: SyncRunsRepository,
    private readonly slots: SyncStreamSlotsRepository,
    private readonly watch: SyncWatch,
    private readonly drain: Drain,
  ) {
    drain.onBegin(() => this.endAll());
  }

  onModuleDestroy(): void {
    this.endAll();
  }

  /**
   * Events `sync` with the shape of the run, now and at each change, and `end` once it is over or its connection is
   * gone. What `lastEventId` names is not sent again.
   * @throws AppError SYNC_NOT_FOUND; RATE_LIMITED with too many streams open; SERVICE_UNAVAILABLE while stopping
   */
  async open(
    scope: UserScope,
    id: string,
    connectionId: string | undefined,
    lastEventId: string | undefined,
  ): Promise<StreamableFile> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, connectionId);
    const row = await this.runs.one(userId, connection.id, id);
    if (!row) throw new AppError('SYNC_NOT_FOUND');
    const lease = uuidv4();
    if (!(await this.slots.claim(userId, lease)))
      throw new AppError('RATE_LIMITED', { retryAfter: FULL_RETRY_SECONDS });
    if (this.drain.draining) {
      await this.quietly(() => this.slots.release(userId, lease));
      throw new AppError('SERVICE_UNAVAILABLE', { retryAfter: DRAIN_RETRY_SECONDS });
    }
    const events = this.begin(userId, lease);
    this.follow(events, userId, row, lastEventId);
    return new StreamableFile(events.readable, { type: 'text/event-stream; charset=utf-8' });
  }

  private begin(userId: number, lease: string): EventStream {
    const events = new EventStream();
    this.streams.add(events);
    const heartbeat = setInterval(() => {
      events.heartbeat();
      void this.quietly(() => this.slots.renew(userId, lease));
    }, HEARTBEAT_MS).unref();
    const longest = setTimeout(() => events.end(), LONGEST_MS).unref();
    events.onClose(() => {
      clearInterval(heartbeat);
      clearTimeout(longest);
      this.streams.delete(events);
      void this.quietly(() => this.slots.release(userId, lease));
    });
    events.retry(RETRY_MS);
    return events;
  }

  private follow(events: EventStream, userId: number, first: SyncRow, lastEventId: string | undefined): void {
    const language = currentContext()?.language ?? 'fr';
    let shown = lastEventId;
    const show = (row: SyncRow | null): void => {
      if (row) shown = tell(events, row, shown, language);
      if (row && (!isOver(row.status) || shown !== versionOf(row))) return;
      events.event('end', { id: first.id, status: row?.status ?? null });
      events.end();
    };
    events.onClose(this.watch.watch(userId, first.id, show));
    show(first);
  }

  /** Without `end`: who watches comes back, and is served elsewhere. */
  private endAll(): void {
    for (const events of [...this.streams]) events.end();
  }

  private async quietly(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.debug({ msg: 'a stream slot was not touched; it runs out by itself', reason });
    }
  }
}

/** Sends a state that was not shown yet. @returns the id of the one that is shown now */
function tell(events: EventStream, row: SyncRow, shown: string | undefined, language: Language): string | undefined {
  const version = versionOf(row);
  if (version === shown) return shown;
  return events.event('sync', SyncResponse.from(syncViewOf(row, language)), version) ? version : shown;
}

/** The same state has the same id on every replica. */
function versionOf(row: SyncRow): string {
  return createHash('sha256').update(JSON.stringify(row)).digest('base64url').slice(0, 22);
}
