import { AppError, type ErrorCode } from '../common/errors';
import { pauseAfter } from '../common/transient';
import { DatabaseError } from '../database/errors';
import { isCursorExpired, isPagingLoop } from '../klaviyo/klaviyo-error';

/** What only a synchronisation can fail of. */
export const SYNC_FAULTS = [
  /** A complete pass saw less than half of what is mirrored: nothing was marked as gone. */
  'SYNC_TOO_FEW_ROWS',
  /** The database did not take some rows; everything else is stored. */
  'SYNC_ROWS_REFUSED',
  /** Klaviyo's pages lead in a circle. */
  'SYNC_PAGES_REPEAT',
] as const;
export type SyncFault = (typeof SYNC_FAULTS)[number];
export type SyncErrorCode = ErrorCode | SyncFault;

/** Another worker has the run, or it is gone: whoever meets this writes nothing more. */
export class LeaseLost extends Error {
  override readonly name = 'LeaseLost';
}

/** PostgreSQL broke down and came back without pages that it had said are stored: where they stand is read anew. */
export class PagesUndone extends Error {
  override readonly name = 'PagesUndone';

  constructor() {
    super('PostgreSQL came back without the pages that were stored last');
  }
}

/** SQLSTATEs of ours. */
const LEASE_LOST = 'KL001';
const PAGES_UNDONE = 'KL002';
/** SQL that ends the transaction: another worker has the run, or it is gone. */
export const REFUSE_LEASE = `refuse('${LEASE_LOST}', 'the run is not ours')`;
/** SQL that ends the transaction: what should be stored already is not. */
export const REFUSE_PAGES = `refuse('${PAGES_UNDONE}', 'pages before these are missing')`;

/** What a failed statement means for the run. */
export function faultOf(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) return error;
  if (error.sqlState === LEASE_LOST) return new LeaseLost();
  return error.sqlState === PAGES_UNDONE ? new PagesUndone() : error;
}

/** Klaviyo's pages of a window lead in a circle. */
export class PagesRepeat extends Error {
  override readonly name = 'PagesRepeat';
}

/** What an error met while reading means for the reading. */
export type Verdict =
  /** The resource goes on after a pause. */
  | { kind: 'pause'; seconds: number; code: ErrorCode; counts: boolean }
  /** The resource fails. */
  | { kind: 'fail'; code: SyncErrorCode }
  /** What the part belongs to is gone. */
  | { kind: 'gone' }
  /** The window begins again from its place. */
  | { kind: 'restart' }
  /** Klaviyo refused the key: the run ends, unless there is a new one. */
  | { kind: 'key' }
  /** Our database is or was out of reach, the process stops, or another worker has the run: the slice ends. */
  | { kind: 'stop' };

/** Where Klaviyo failed and said no time. */
const PAUSE_SECONDS = 5;

export function verdictOf(error: unknown): Verdict {
  if (error instanceof DatabaseError && !isRefused(error)) return { kind: 'stop' };
  if (error instanceof LeaseLost || error instanceof PagesUndone) return { kind: 'stop' };
  if (error instanceof PagesRepeat) return { kind: 'fail', code: 'SYNC_PAGES_REPEAT' };
  if (!(error instanceof AppError)) return { kind: 'fail', code: 'INTERNAL' };
  if (isCursorExpired(error)) return { kind: 'restart' };
  if (isPagingLoop(error)) return { kind: 'fail', code: 'SYNC_PAGES_REPEAT' };
  const { code } = error;
  if (code === 'KLAVIYO_KEY_INVALID') return { kind: 'key' };
  if (code === 'SERVICE_UNAVAILABLE') return { kind: 'stop' };
  if (code.endsWith('_NOT_FOUND')) return { kind: 'gone' };
  if (pauseAfter(error) === null) return { kind: 'fail', code };
  // Used up quota is no failure: it comes back by itself, however long others use it.
  return { kind: 'pause', seconds: error.retryAfter ?? PAUSE_SECONDS, code, counts: code !== 'KLAVIYO_RATE_LIMITED' };
}

/**
 * Which of two verdicts counts for all windows of a resource: that it fails, else the first. A pause would go on behind a
 * page that could not be taken apart, whose window has moved on already.
 */
export function graver(met: Verdict | null, verdict: Verdict): Verdict {
  return met === null || (met.kind !== 'fail' && verdict.kind === 'fail') ? verdict : met;
}

/** Whether the database refused what it was given, rather than could not be asked: the same again meets the same. */
export function isRefusedData(error: unknown): boolean {
  return error instanceof DatabaseError && !error.down && /^(22|23|54)/.test(error.sqlState ?? '');
}

/** The same statement would be refused again; anything else of the database's may be better in a moment. */
function isRefused(error: DatabaseError): boolean {
  return !error.down && /^(22|23|42|54)/.test(error.sqlState ?? '42');
}
