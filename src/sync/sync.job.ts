import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import { Clock } from '../common/clock';
import { Drain } from '../common/drain';
import { AppError } from '../common/errors';
import { ConnectionService } from '../connection/connection.service';
import { isDatabaseDown } from '../database/errors';
import { JobsService, type JobData } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { MirrorStatesRepository } from '../mirror/mirror-states.repository';
import { Syncers } from '../mirror/syncers';
import { PageStore } from './page-store';
import { PassEnding } from './pass-ending';
import { PassRecordsRepository } from './pass-records.repository';
import { RunEnding } from './run-ending';
import { LEASE_SECONDS, RunLeasesRepository, type HeldRun } from './run-leases.repository';
import { Slice, type SliceEnd } from './slice';
import { LeaseLost } from './sync-faults';
import { SyncTransactions } from './sync-transactions';

/** Runs at once in this process: they mostly wait for Klaviyo. */
const WORKERS = 32;
const RENEW_MS = 5000;
/** After something failed that is not Klaviyo's. */
const FAILURE_PAUSE_MS = 5000;
/** For so long a run that could not be given back is tried to be. */
const PERSIST_MS = (LEASE_SECONDS - 5) * 1000;

/** Works on runs, slice by slice: takes the lease, keeps it, and gives the run back or ends it. */
@Injectable()
export class SyncJob implements OnModuleInit {
  private readonly logger = new Logger('Sync');
  private readonly slices = new Map<Slice, HeldRun>();

  constructor(
    private readonly jobs: JobsService,
    private readonly transactions: SyncTransactions,
    private readonly connections: ConnectionService,
    private readonly syncers: Syncers,
    private readonly states: MirrorStatesRepository,
    private readonly leases: RunLeasesRepository,
    private readonly records: PassRecordsRepository,
    private readonly store: PageStore,
    private readonly passes: PassEnding,
    private readonly ending: RunEnding,
    private readonly clock: Clock,
    private readonly drain: Drain,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.sync, (data) => this.run(data), WORKERS);
    this.drain.onBegin(() => {
      for (const slice of this.slices.keys()) slice.halt.halt('drain');
    });
    this.connections.onInvalidated((_, connectionId) => {
      for (const [slice, run] of this.slices) if (run.connectionId === connectionId) slice.halt.halt('key');
    });
  }

  /** @param data `userId`, `syncId` */
  async run(data: JobData): Promise<void> {
    const run = await this.leases.claim(Number(data['userId']), String(data['syncId']), uuidv4());
    if (!run) return this.notHad(Number(data['userId']), String(data['syncId']));
    try {
      const access = await this.accessOf(run);
      if (access) await this.slice(run, access);
      else await this.ending.failed(run, 'KLAVIYO_KEY_INVALID');
    } catch (error) {
      // Another worker has it, or its connection is gone with everything: there is nothing left to do here.
      if (!(error instanceof LeaseLost)) throw error;
      this.logger.warn({ msg: 'a synchronisation went on elsewhere', syncId: run.id, connectionId: run.connectionId });
    }
  }

  /** Somebody else works on it, or it waits for another. Held by a worker that was stopped, it is to be had soon. */
  private async notHad(userId: number, syncId: string): Promise<void> {
    if (await this.leases.isStranded(userId, syncId)) await this.ending.again(userId, syncId, FAILURE_PAUSE_MS);
  }

  private async slice(run: HeldRun, access: KlaviyoAccess): Promise<void> {
    const tools = {
      clock: this.clock,
      syncers: this.syncers,
      leases: this.leases,
      records: this.records,
      store: this.store,
      ending: this.passes,
      giveWay: this.transactions.giveWay,
      transaction: <T>(work: () => Promise<T>): Promise<T> => this.transactions.run(run.userId, work),
    };
    const slice = new Slice(tools, run, access, await this.states.of(run.userId, run.connectionId));
    this.slices.set(slice, run);
    if (this.drain.draining) slice.halt.halt('drain');
    const renewal = setInterval(() => void this.renew(run, slice), RENEW_MS);
    try {
      const end = await slice.go();
      await this.persistently(() => this.after(run, access, slice, end));
    } finally {
      clearInterval(renewal);
      this.slices.delete(slice);
    }
  }

  private async after(run: HeldRun, access: KlaviyoAccess, slice: Slice, end: SliceEnd): Promise<void> {
    const tally = (): Promise<void> => slice.tally();
    const { reason } = slice.halt;
    if (reason === 'lost') throw new LeaseLost();
    if (end.finished) return this.ending.finish(run, tally);
    if (reason === 'cancel') return this.ending.cancelled(run, tally);
    if (reason === 'key') {
      // The refused key may have been replaced meanwhile: then the run goes on with the new one.
      const now = await this.accessOf(run);
      if (!now || now === access) return this.ending.failed(run, 'KLAVIYO_KEY_INVALID', tally);
    }
    if (end.failure !== undefined && reason === 'failure')
      this.logger.warn({
        msg: 'a slice ended early',
        syncId: run.id,
        connectionId: run.connectionId,
        reason: nameOf(end.failure),
      });
    const pauseMs = reason === 'failure' ? Math.max(FAILURE_PAUSE_MS, end.pauseMs) : end.pauseMs;
    await this.ending.goOn(run, pauseMs, tally);
  }

  private async renew(run: HeldRun, slice: Slice): Promise<void> {
    try {
      if (await this.leases.renew(run.userId, run)) slice.halt.halt('cancel');
    } catch (error) {
      // Anything else is tried again; that the run is still ours is asked with each commit.
      if (error instanceof LeaseLost) slice.halt.halt('lost');
    }
  }

  /** @returns undefined when its key was refused. @throws LeaseLost when the connection is gone */
  private async accessOf(run: HeldRun): Promise<KlaviyoAccess | undefined> {
    try {
      return await this.connections.accessFor(run, run.connectionId);
    } catch (error) {
      if (error instanceof AppError && error.code === 'KLAVIYO_KEY_INVALID') return undefined;
      if (error instanceof AppError && error.code === 'CONNECTION_NOT_FOUND') throw new LeaseLost();
      throw error;
    }
  }

  /** While the database is away for a moment, a run that could not be given back would wait for its lease to run out. */
  private async persistently(work: () => Promise<void>): Promise<void> {
    const until = this.clock.now() + PERSIST_MS;
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        if (!isDatabaseDown(error) || this.clock.now() > until || this.drain.draining) throw error;
        await new Promise((resolve) => setTimeout(resolve, 1000));
      }
    }
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown';
}
