import { ConnectionService } from '../../src/connection/connection.service';
import { Db } from '../../src/database/scope';
import { CallTally } from '../../src/klaviyo/call-tally';
import { MirrorStatesRepository } from '../../src/mirror/mirror-states.repository';
import type { Pass, Syncer } from '../../src/mirror/syncer';
import { Syncers } from '../../src/mirror/syncers';
import type { Reader, ReadsStage } from './reads-stage';

/** What one pass came to. */
export interface Passed {
  parts: string[];
  fetched: number;
  changed: number;
  swept: number;
}

interface PassOptions {
  /** Rows of each page as they are written, e.g. to spoil them. */
  onRows?: (rows: readonly unknown[]) => readonly unknown[];
  /** False: no reports are asked for after it. */
  follow?: boolean;
}

/** One full pass over the campaigns of a connection, page after page, as the synchronisation would have it. */
export async function passOver(stage: ReadsStage, reader: Reader, options: PassOptions = {}): Promise<Passed> {
  const { userId, connectionId } = reader;
  const nest = stage.app.app;
  const syncer: Syncer = nest.get(Syncers).of('campaigns');
  const access = await nest.get(ConnectionService).accessFor({ userId }, connectionId);
  const [clock] = await stage.sql<{ now: Date }>('SELECT clock_timestamp() AS now');
  const startedAt = clock!.now;
  const pass: Pass = { access, userId, connectionId, kind: 'full', startedAt, highWater: null, reconciledAt: null };
  const db = nest.get(Db);
  const passed: Passed = { parts: [], fetched: 0, changed: 0, swept: 0 };
  for (const { key, span } of await syncer.parts(pass)) {
    passed.parts.push(key);
    let cursor: string | null = null;
    do {
      const call = { deadline: Date.now() + 20_000, tally: new CallTally() };
      const page = await syncer.fetch(pass, { part: key, span, cursor }, call);
      const rows = options.onRows ? options.onRows(page.rows) : page.rows;
      passed.fetched += rows.length;
      passed.changed += await db.inTransaction(userId, () => syncer.write(pass, rows));
      cursor = page.next;
    } while (cursor !== null);
  }
  await db.inTransaction(userId, async () => {
    for (let swept = 1; swept > 0; passed.swept += swept) swept = await syncer.sweep(pass, 5);
    if (options.follow !== false) await syncer.finished?.(pass);
    await nest.get(MirrorStatesRepository).save(userId, connectionId, {
      resource: 'campaigns',
      completeAt: startedAt,
      syncedAt: startedAt,
      highWater: startedAt,
      reconciledAt: null,
      liveRows: passed.fetched,
      doubtedRows: null,
    });
  });
  return passed;
}
