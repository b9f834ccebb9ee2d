import { Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import { Clock } from '../common/clock';
import type { ErrorCode } from '../common/errors';
import type { PreparedRequest } from './prepared-request';
import { UsageSystemRepository } from './usage.system.repository';

/** What changed is told that often. */
const TELL_MS = 2000;
const SECONDS = 60;

/** What one replica did on one operation of a connection. */
export interface UsageRow {
  userId: number;
  connectionId: string;
  operation: string;
  /** Calls started in the last minute. */
  used: number;
  waiting: number;
  /** 429s since the last time it was told. */
  throttled: number;
  errorCode: string | null;
  /** Epoch milliseconds. */
  errorAt: number | null;
}

/** Counts, for each connection and operation, what this process does there, and tells it where all replicas' add up. */
@Injectable()
export class UsageRecorder implements OnModuleInit, OnModuleDestroy {
  private readonly logger = new Logger('KlaviyoUsage');
  /** Rows of processes that are gone age out; a process that starts again is another one. */
  private readonly replica = uuidv4();
  private readonly entries = new Map<string, Entry>();
  private timer: NodeJS.Timeout | undefined;
  private telling: Promise<void> | undefined;

  constructor(
    private readonly rows: UsageSystemRepository,
    private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.timer = setInterval(() => void this.tell(), TELL_MS).unref();
  }

  onModuleDestroy(): Promise<void> {
    clearInterval(this.timer);
    return this.tell();
  }

  /** A call that waits for quota, and no more. */
  waits(request: PreparedRequest): void {
    this.entryOf(request).waiting += 1;
  }

  waitsNoMore(request: PreparedRequest): void {
    this.entryOf(request).waiting -= 1;
  }

  /** A call that took its slots. */
  starts(request: PreparedRequest): void {
    for (const { name } of request.buckets) this.entryOf(request, name).count(this.clock.now());
  }

  throttled(request: PreparedRequest): void {
    this.entryOf(request).throttled += 1;
  }

  /** What a call ended with. That something is not there, or is there already, is an answer like any other. */
  failed(request: PreparedRequest, code: ErrorCode): void {
    if (!code.startsWith('KLAVIYO_')) return;
    const entry = this.entryOf(request);
    entry.error = { code, at: this.clock.now() };
  }

  /** Writes down what changed since the last time. Never throws: what could not be told is told the next time. */
  tell(): Promise<void> {
    this.telling = (this.telling ?? Promise.resolve()).then(() => this.tellOnce());
    return this.telling;
  }

  private async tellOnce(): Promise<void> {
    const now = this.clock.now();
    const changed = [...this.entries.values()].filter((entry) => entry.changed(now));
    const told = changed.map((entry) => ({ entry, row: entry.row(now) }));
    try {
      if (told.length > 0)
        await this.rows.tell(
          this.replica,
          told.map(({ row }) => row),
        );
      for (const { entry, row } of told) entry.told(row);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.debug({ msg: 'usage was not told', reason });
    }
    for (const [key, entry] of this.entries) if (entry.over(now)) this.entries.delete(key);
  }

  private entryOf({ access, operation }: PreparedRequest, name = operation.name): Entry {
    const key = `${access.connectionId} ${name}`;
    const known = this.entries.get(key);
    if (known) return known;
    const entry = new Entry(access.userId, access.connectionId, name);
    this.entries.set(key, entry);
    return entry;
  }
}

/** One connection and operation in this process. */
class Entry {
  waiting = 0;
  /** Not told yet. */
  throttled = 0;
  error: { code: string; at: number } | undefined;
  private used = 0;
  private readonly perSecond = new Uint32Array(SECONDS);
  private second = 0;
  private toldUsed = 0;
  private toldWaiting = 0;

  constructor(
    private readonly userId: number,
    private readonly connectionId: string,
    private readonly operation: string,
  ) {}

  count(now: number): void {
    this.forget(now);
    const place = this.second % SECONDS;
    this.perSecond[place] = (this.perSecond[place] ?? 0) + 1;
    this.used += 1;
  }

  changed(now: number): boolean {
    this.forget(now);
    return (
      this.used !== this.toldUsed || this.waiting !== this.toldWaiting || this.throttled > 0 || this.error !== undefined
    );
  }

  row(now: number): UsageRow {
    this.forget(now);
    const { userId, connectionId, operation, used, waiting, throttled, error } = this;
    const errorCode = error?.code ?? null;
    return { userId, connectionId, operation, used, waiting, throttled, errorCode, errorAt: error?.at ?? null };
  }

  told(row: UsageRow): void {
    this.toldUsed = row.used;
    this.toldWaiting = row.waiting;
    this.throttled -= row.throttled;
    if (this.error?.at === row.errorAt) this.error = undefined;
  }

  /** Nothing happens and everything was told. */
  over(now: number): boolean {
    return !this.changed(now) && this.used === 0 && this.waiting === 0;
  }

  private forget(now: number): void {
    const second = Math.floor(now / 1000);
    const gone = Math.min(SECONDS, second - this.second);
    for (let back = 0; back < gone; back += 1) {
      const place = (second - back) % SECONDS;
      this.used -= this.perSecond[place] ?? 0;
      this.perSecond[place] = 0;
    }
    this.second = Math.max(this.second, second);
  }
}
