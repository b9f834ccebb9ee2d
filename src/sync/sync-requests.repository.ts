import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import { Db, query } from '../database/scope';
import { SyncEstimatesRepository } from './sync-estimates.repository';
import type { RunTrigger } from './sync-run.entity';
import { covers, union, type SyncScope } from './sync-scope';

/** What became of a request: the run that serves it. */
export interface Requested {
  id: string;
  /** Whether that run was there already, with an equal or wider scope. */
  alreadyRunning: boolean;
}

interface OpenRun extends SyncScope {
  id: string;
  status: 'queued' | 'running';
  cancelling: boolean;
}

/** Each round, somebody else's commit is in the way: there are not many who can be. */
const MOST_ROUNDS = 50;

/** Requests for runs: at most one of a connection runs and one waits, whoever asks at once and wherever. */
@Injectable()
export class SyncRequestsRepository {
  constructor(
    private readonly db: Db,
    private readonly estimates: SyncEstimatesRepository,
  ) {}

  /**
   * The run that brings what is asked for: one under way that reads all of it, the one that waits widened to it, or a
   * new one.
   * @param enqueue puts the run on the queue, in the same transaction
   * @returns undefined when the connection is gone
   */
  async request(
    userId: number,
    connectionId: string,
    scope: SyncScope,
    trigger: RunTrigger,
    enqueue: (syncId: string, manager: EntityManager) => Promise<void>,
  ): Promise<Requested | undefined> {
    return this.db.inTransaction(userId, async (manager) => {
      const held = await query(manager, 'SELECT 1 FROM connection WHERE user_id = $1 AND id = $2 FOR KEY SHARE', [
        userId,
        connectionId,
      ]);
      if (held.length === 0) return undefined;
      for (let round = 0; round < MOST_ROUNDS; round++) {
        const open = await this.open(userId, connectionId, manager);
        const serving = open.find((run) => !run.cancelling && covers(run, scope));
        if (serving) return { id: serving.id, alreadyRunning: true };
        const waiting = open.find(({ status }) => status === 'queued');
        if (waiting) {
          if (!(await this.widen(userId, connectionId, waiting, scope, manager))) continue;
          // Its job may have come by while the run was held here, and gone without it.
          await enqueue(waiting.id, manager);
          return { id: waiting.id, alreadyRunning: false };
        }
        const id = await this.insert(userId, connectionId, scope, trigger, manager);
        if (id === undefined) continue;
        await enqueue(id, manager);
        return { id, alreadyRunning: false };
      }
      throw new Error('A run could be neither found nor made');
    });
  }

  private async open(userId: number, connectionId: string, manager: EntityManager): Promise<OpenRun[]> {
    return query<OpenRun>(
      manager,
      `SELECT id, status, mode, resources, cancel_requested_at IS NOT NULL AS cancelling FROM sync_run
       WHERE user_id = $1 AND connection_id = $2 AND status IN ('queued', 'running')`,
      [userId, connectionId],
    );
  }

  /** @returns false when the run no longer waits, or was widened by somebody else meanwhile */
  private async widen(
    userId: number,
    connectionId: string,
    run: OpenRun,
    scope: SyncScope,
    manager: EntityManager,
  ): Promise<boolean> {
    const wider = union(run, scope);
    const rows = await query(
      manager,
      `UPDATE sync_run SET mode = $3, resources = $4, estimate = $7
       WHERE user_id = $1 AND id = $2 AND status = 'queued' AND mode = $5 AND resources = $6 RETURNING id`,
      [
        userId,
        run.id,
        wider.mode,
        wider.resources,
        run.mode,
        run.resources,
        await this.estimates.of(userId, connectionId, wider),
      ],
    );
    return rows.length > 0;
  }

  /** @returns undefined when another run came to wait at the same time */
  private async insert(
    userId: number,
    connectionId: string,
    scope: SyncScope,
    trigger: RunTrigger,
    manager: EntityManager,
  ): Promise<string | undefined> {
    const id = uuidv7();
    const rows = await query(
      manager,
      `INSERT INTO sync_run (user_id, id, connection_id, mode, trigger, status, resources, estimate)
       VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7) ON CONFLICT DO NOTHING RETURNING id`,
      [
        userId,
        id,
        connectionId,
        scope.mode,
        trigger,
        scope.resources,
        await this.estimates.of(userId, connectionId, scope),
      ],
    );
    return rows.length > 0 ? id : undefined;
  }
}
