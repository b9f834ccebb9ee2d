import { AppError } from '../../src/common/errors';
import { ConnectionService } from '../../src/connection/connection.service';
import { Db } from '../../src/database/scope';
import { CallTally } from '../../src/klaviyo/call-tally';
import { MirrorStatesRepository } from '../../src/mirror/mirror-states.repository';
import type { PassKind, Resource } from '../../src/mirror/resources';
import type { FetchedPage, Part, Pass, Syncer } from '../../src/mirror/syncer';
import { Syncers } from '../../src/mirror/syncers';
import { fetchedPage } from '../support/fetched-page';
import type { ReadsStage, Reader } from './reads-stage';

/** What one pass came to. */
export interface PassResult {
  parts: Part[];
  written: number;
  swept: number;
  /** Parts whose group was gone. */
  gone: string[];
}

interface PassOptions {
  /** Runs after each page was fetched, before it is written. */
  between?: (part: string, rows: readonly unknown[]) => Promise<void>;
}

/** A pass in the simplest way that keeps to what a syncer promises: part by part, page by page. */
export async function mirrored(
  stage: ReadsStage,
  reader: Reader,
  resource: Resource,
  kind: PassKind = 'full',
  options: PassOptions = {},
): Promise<PassResult> {
  const { userId, connectionId } = reader;
  const get = stage.app.app.get.bind(stage.app.app);
  const syncer: Syncer = get(Syncers).of(resource);
  const states = get(MirrorStatesRepository);
  const state = (await states.of(userId, connectionId)).get(resource);
  const [clock] = await stage.sql<{ now: Date }>('SELECT clock_timestamp() AS now');
  const pass: Pass = {
    access: await get(ConnectionService).accessFor({ userId }, connectionId),
    userId,
    connectionId,
    kind,
    startedAt: clock!.now,
    highWater: state?.highWater ?? null,
    reconciledAt: state?.reconciledAt ?? null,
  };
  const result: PassResult = { parts: await syncer.parts(pass), written: 0, swept: 0, gone: [] };
  for (const part of result.parts) {
    let cursor: string | null = null;
    do {
      const call = { deadline: Date.now() + 30_000, tally: new CallTally() };
      const page: Pick<FetchedPage<unknown>, 'rows' | 'next'> = await fetchedPage(
        syncer,
        pass,
        { part: part.key, span: part.span, cursor },
        call,
      ).catch((error: unknown) => {
        if (!(error instanceof AppError) || !error.code.endsWith('_NOT_FOUND')) throw error;
        result.gone.push(part.key);
        return { rows: [], next: null };
      });
      await options.between?.(part.key, page.rows);
      result.written += await get(Db).inTransaction(userId, () => syncer.write(pass, page.rows));
      cursor = page.next;
    } while (cursor !== null);
  }
  if (kind === 'full') result.swept = await syncer.sweep(pass, 5000);
  await get(Db).inTransaction(userId, async () => {
    await syncer.finished?.(pass);
    await states.save(userId, connectionId, {
      resource,
      completeAt: kind === 'full' ? pass.startedAt : (state?.completeAt ?? pass.startedAt),
      syncedAt: pass.startedAt,
      highWater: pass.startedAt,
      reconciledAt: null,
      liveRows: (await syncer.unseen(pass)).live,
      doubtedRows: null,
    });
  });
  return result;
}

/** Lists, segments and who is in them, as a run would read them. */
export async function allMirrored(stage: ReadsStage, reader: Reader, kind: PassKind = 'full'): Promise<PassResult> {
  await mirrored(stage, reader, 'lists');
  await mirrored(stage, reader, 'segments');
  return mirrored(stage, reader, 'memberships', kind);
}
