import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { Precedence } from '../common/precedence';
import type { Line } from '../database/line';
import { Db } from '../database/scope';

/** The part of the pool that all runs of this process may hold; the rest is for callers. */
const SHARE = 0.4;
/** One page of all runs is asked for in that time at least: synchronisations get slower, and never stop. */
const GIVE_WAY_MS = 250;

/**
 * Transactions of runs: only so many at once, however many runs there are, so that a caller always finds a connection.
 * Whoever waits here meanwhile gathers pages, and stores more of them at once.
 */
@Injectable()
export class SyncTransactions {
  /** Before asking for another page: what others wait for goes first, within bounds. */
  readonly giveWay: () => Promise<void>;
  private readonly most: number;
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    @Inject(ENV) env: Env,
    private readonly db: Db,
    precedence: Precedence,
  ) {
    this.giveWay = precedence.line(GIVE_WAY_MS);
    this.most = Math.max(1, Math.floor(env.databasePoolSize * SHARE));
  }

  /** As `Db.inTransaction`, in its turn. Not to be called within another one. */
  run<T>(userId: number, work: () => Promise<T>): Promise<T> {
    return this.inTurn(() => this.db.inTransaction(userId, work));
  }

  /** Whether others wait for their turn. */
  get crowded(): boolean {
    return this.waiting.length > 0;
  }

  /** A connection for transactions that are sent ahead of each other, in its turn. To be released. @throws DatabaseError */
  async line(userId: number): Promise<Line> {
    await this.begin();
    try {
      return await this.db.line(userId);
    } catch (error) {
      this.end();
      throw error;
    }
  }

  async release(line: Line): Promise<void> {
    try {
      await line.release();
    } finally {
      this.end();
    }
  }

  /** Other long work with the database, in its turn. */
  async inTurn<T>(work: () => Promise<T>): Promise<T> {
    await this.begin();
    try {
      return await work();
    } finally {
      this.end();
    }
  }

  private async begin(): Promise<void> {
    if (this.running >= this.most) await new Promise<void>((turn) => this.waiting.push(turn));
    else this.running += 1;
  }

  private end(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.running -= 1;
  }
}
