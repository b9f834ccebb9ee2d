import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleInit } from '@nestjs/common';
import { AppError } from '../common/errors';
import { Drain } from '../common/drain';
import { pauseAfter } from '../common/transient';
import { WorkLoop } from '../common/work-loop';
import { ENV, type Env } from '../config/env';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { ProfileMirrorService } from '../profiles/profile-mirror.service';
import { ProcessRefreshRepository } from './process-refresh.repository';
import { ProcessSystemRepository, type Tenant } from './process.system.repository';

/** Connections at once in this process, and people of one taken together: five calls. */
const LANES = 4;
const TAKEN = 500;
/** Longer than reading them takes; a process that died leaves them due after it. */
const TAKEN_SECONDS = 120;
const CALL_MS = 60_000;
/** What does not get better by itself, as a key that Klaviyo refuses: a new one wakes what waits. */
const REFUSED_SECONDS = 3600;
/** Calls that finding out whom Klaviyo objects to may take at once; the rest is found out later. */
const MOST_SEARCHED = 40;
const SEARCHED_SECONDS = 60;

/**
 * Reads people again of whom events said that they changed: each once however many events there were, a hundred a call,
 * behind everything interactive. What cannot be read now waits; events themselves never wait for it.
 */
@Injectable()
export class ProfileRefresher implements OnModuleInit, OnApplicationBootstrap {
  private readonly logger = new Logger('ProfileRefresh');
  private readonly active = new Set<string>();
  private readonly loop: WorkLoop;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly system: ProcessSystemRepository,
    private readonly rows: ProcessRefreshRepository,
    private readonly connections: ConnectionService,
    private readonly profiles: ProfileMirrorService,
    drain: Drain,
  ) {
    const work = { name: 'reading people again', look: () => this.look(), isBusy: () => this.active.size > 0 };
    this.loop = new WorkLoop(work, this.logger, drain);
  }

  onModuleInit(): void {
    this.connections.onRevived((userId, connectionId) => this.rows.wake(userId, connectionId));
    this.connections.onDisconnect(async (userId, connectionIds) => {
      await this.rows.forget(userId, connectionIds);
      return 0;
    });
  }

  onApplicationBootstrap(): void {
    if (this.env.role !== 'api') this.loop.start();
  }

  private async look(): Promise<void> {
    if (this.active.size >= LANES) return;
    for (const tenant of await this.system.dueRefreshes(LANES * 2)) this.begin(tenant);
  }

  private begin(tenant: Tenant): void {
    const { userId, connectionId } = tenant;
    if (this.active.size >= LANES || this.active.has(connectionId)) return;
    this.active.add(connectionId);
    this.refresh(tenant)
      .catch((error: unknown) =>
        this.logger.warn({ msg: 'people were not read again', userId, connectionId, err: error }),
      )
      .finally(() => this.active.delete(connectionId));
  }

  private async refresh({ userId, connectionId }: Tenant): Promise<void> {
    const { ids, at } = await this.rows.take(userId, connectionId, TAKEN, TAKEN_SECONDS);
    if (ids.length === 0) return;
    try {
      const access = await this.connections.accessFor({ userId }, connectionId);
      await this.read(access, ids, at, { left: MOST_SEARCHED });
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      await this.later(userId, connectionId, error);
    }
  }

  /**
   * Reads people; where Klaviyo objects to some of them, all others, by halves.
   * @param search how many more calls may be made to find out to whom it objects
   */
  private async read(access: KlaviyoAccess, ids: readonly string[], at: Date, search: { left: number }): Promise<void> {
    const { userId, connectionId } = access;
    try {
      await this.profiles.refresh(access, ids, { priority: 'background', deadline: Date.now() + CALL_MS });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'KLAVIYO_REJECTED') throw error;
      if (ids.length > 1) {
        search.left -= 2;
        if (search.left < 0) throw error;
        const half = Math.ceil(ids.length / 2);
        await this.read(access, ids.slice(0, half), at, search);
        await this.read(access, ids.slice(half), at, search);
        return;
      }
      this.logger.warn({ msg: 'Klaviyo refuses to show a person', userId, connectionId, reason: error.reason });
    }
    await this.rows.done(userId, connectionId, ids, at);
  }

  private async later(userId: number, connectionId: string, error: AppError): Promise<void> {
    // A connection that is gone, a key that may not read people: nobody of it will ever be read.
    const isOver = error.code === 'CONNECTION_NOT_FOUND' || error.code === 'KLAVIYO_SCOPE_MISSING';
    const pause = error.code === 'KLAVIYO_REJECTED' ? SEARCHED_SECONDS : (pauseAfter(error) ?? REFUSED_SECONDS);
    if (isOver) await this.rows.forget(userId, [connectionId]);
    else await this.rows.postpone(userId, connectionId, pause);
    if (error.code !== 'CONNECTION_NOT_FOUND')
      this.logger.log({
        msg: 'people are read again later',
        userId,
        connectionId,
        code: error.code,
        pause: isOver ? null : pause,
      });
  }
}
