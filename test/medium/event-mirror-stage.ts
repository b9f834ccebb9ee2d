import { openStage, type ReadsStage, type Reader } from '../e2e/reads-stage';
import type { AppOptions } from '../support/app';
import type { SandboxAccountOptions } from '../support/sandbox';
import { ConnectionService } from '../../src/connection/connection.service';
import { Db } from '../../src/database/scope';
import { CallTally } from '../../src/klaviyo/call-tally';
import type { PassKind, Resource } from '../../src/mirror/resources';
import { MirrorStatesRepository } from '../../src/mirror/mirror-states.repository';
import type { FetchedPage, Pass, Part, Syncer } from '../../src/mirror/syncer';
import { Syncers } from '../../src/mirror/syncers';
import { fetchedPage } from '../support/fetched-page';
import { differences, type Difference } from '../support/mirror-digest';

/** What one pass came to. */
export interface Passed {
  rows: number;
  changed: number;
  pages: number;
  swept: number;
  parts: Part[];
}

export interface MirrorStage extends ReadsStage {
  syncer(resource: Resource): Syncer;
  begin(reader: Reader, resource: Resource, kind: PassKind): Promise<Pass>;
  /** Runs a pass of one chain of pages from end to end, as simply as can be, and remembers that it was complete. */
  pass(reader: Reader, resource: Resource, kind?: PassKind): Promise<Passed>;
  compare(reader: Reader, resources: readonly string[]): Promise<Difference[]>;
}

/** The service and the sandbox, with syncers driven by hand. */
export async function openMirrorStage(options: AppOptions = {}): Promise<MirrorStage> {
  const stage = await openStage({ ...options, env: { SYNC_INTERVAL_MINUTES: '0', ...options.env } });
  const of = stage.app.app;
  const syncer = (resource: Resource) => of.get(Syncers).of(resource);
  const begin = async (reader: Reader, resource: Resource, kind: PassKind): Promise<Pass> => {
    const { userId, connectionId } = reader;
    const access = await of.get(ConnectionService).accessFor({ userId }, connectionId);
    const state = (await of.get(MirrorStatesRepository).of(userId, connectionId)).get(resource);
    const [clock] = await stage.sql<{ now: Date }>('SELECT clock_timestamp() AS now');
    return {
      access,
      userId,
      connectionId,
      kind,
      startedAt: clock!.now,
      highWater: state?.highWater ?? null,
      reconciledAt: state?.reconciledAt ?? null,
    };
  };
  return {
    ...stage,
    syncer,
    begin,
    compare: (reader, resources) =>
      differences(
        {
          sql: stage.sql,
          sandbox: stage.sandbox,
          userId: reader.userId,
          connectionId: reader.connectionId,
          accountId: reader.account.id,
        },
        resources,
      ),
    pass: async (reader, resource, kind = 'full') => {
      const pass = await begin(reader, resource, kind);
      const by = syncer(resource);
      const parts = await by.parts(pass);
      const done: Passed = { rows: 0, changed: 0, pages: 0, swept: 0, parts };
      for (const { key, span } of parts)
        for (let cursor: string | null = null; ;) {
          const call = { deadline: Date.now() + 30_000, tally: new CallTally() };
          const page: FetchedPage<unknown> = await fetchedPage(by, pass, { part: key, span, cursor }, call);
          done.changed += await of.get(Db).inTransaction(pass.userId, () => by.write(pass, page.rows));
          done.rows += page.rows.length;
          done.pages += 1;
          if (page.next === null) break;
          cursor = page.next;
        }
      if (kind === 'full') for (let chunk = -1; chunk !== 0; done.swept += chunk) chunk = await by.sweep(pass, 50);
      const { live } = await by.unseen(pass);
      await of.get(MirrorStatesRepository).save(pass.userId, pass.connectionId, {
        resource,
        completeAt: pass.startedAt,
        syncedAt: pass.startedAt,
        highWater: pass.startedAt,
        reconciledAt: by.reconciles?.(pass) ? pass.startedAt : pass.reconciledAt,
        liveRows: live,
        doubtedRows: null,
      });
      return done;
    },
  };
}

export const ACCOUNT: SandboxAccountOptions = { profiles: 40, events: 2500, eventDays: 60, limits: 'huge' };
