import { Clock } from '../../../src/common/clock';
import { ConnectionService } from '../../../src/connection/connection.service';
import { Db } from '../../../src/database/scope';
import { CallTally } from '../../../src/klaviyo/call-tally';
import { RESOURCES } from '../../../src/mirror/resources';
import type { FetchedPage, Pass, Syncer } from '../../../src/mirror/syncer';
import { Syncers } from '../../../src/mirror/syncers';
import { fetchedPage } from '../../support/fetched-page';
import type { Stage } from './stage';

const DAY = 24 * 3_600_000;
/** Pages of one chain: the first, and one behind a cursor. */
const PAGES = 2;
/** Chains of one resource: so many of the first, and of the last. */
const PARTS = 3;

/**
 * What a synchronisation asks, resource by resource as its syncer asks it: whole and since a while ago, windows with
 * and without an end, a page behind a cursor, and where the newest row stands.
 */
export async function synchronising(stage: Stage, userId: number): Promise<void> {
  const { app } = stage.app;
  const access = await app.get(ConnectionService).accessFor({ userId });
  // The service's: in some settings it shows another year.
  const now = app.get(Clock).now();
  for (const resource of RESOURCES) {
    const syncer = app.get(Syncers).of(resource);
    const pass = (kind: Pass['kind']): Pass => ({
      access,
      userId,
      connectionId: access.connectionId,
      kind,
      startedAt: new Date(now),
      highWater: kind === 'full' ? null : new Date(now - DAY),
      reconciledAt: kind === 'full' ? null : new Date(now - 2 * DAY),
    });
    await read(stage, syncer, pass('full'));
    await read(stage, syncer, pass('incremental'));
  }
}

async function read(stage: Stage, syncer: Syncer, pass: Pass): Promise<void> {
  const now = stage.app.app.get(Clock).now();
  const call = () => ({ deadline: now + 60_000, tally: new CallTally() });
  const parts = await syncer.parts(pass);
  for (const part of new Set([...parts.slice(0, PARTS), ...parts.slice(-PARTS)])) {
    let cursor: string | null = null;
    for (let page = 0; page < PAGES; page++) {
      const { rows, next }: FetchedPage<unknown> = await fetchedPage(
        syncer,
        pass,
        { part: part.key, span: part.span, cursor },
        call(),
      );
      await stage.app.app.get(Db).inTransaction(pass.userId, () => syncer.write(pass, rows));
      if (next === null) break;
      cursor = next;
    }
    if (!part.divisible) continue;
    await syncer.newest?.(pass, part, call());
    const to = now - DAY;
    const from = part.span.from ?? to - 300 * DAY;
    for (const span of [
      { from, to: Math.max(to, from + 1000) },
      { from: null, to },
    ])
      await syncer.fetch(pass, { part: part.key, span, cursor: null }, call());
  }
}
