import { AppError, type ErrorCode } from '../common/errors';
import { isCircuitOpen } from '../klaviyo/klaviyo-error';

/** Waits between attempts, in seconds; the last one repeats until the event expires. */
const PLAN: readonly number[] = [2, 5, 10, 20, 60, 300, 900];

/** How long an accepted event is offered to Klaviyo. */
export const LIFETIME_SECONDS = 24 * 3600;

/** Seconds until the next attempt, after so many. */
export function pauseAfter(attempts: number): number {
  const last = PLAN.length - 1;
  return PLAN[Math.min(Math.max(attempts, 1) - 1, last)] ?? 900;
}

/** What became of one attempt. */
export type Verdict =
  | { kind: 'sent' }
  /** Klaviyo refuses the event itself: trying again cannot help. */
  | { kind: 'rejected'; code: ErrorCode; error: AppError }
  /** Klaviyo refuses us: a key, a permission or a revision has to change first. */
  | { kind: 'refused'; code: ErrorCode; error: AppError }
  /**
   * Klaviyo cannot take it now, or did not say; `retryAfter` seconds where it named them. `unasked` where it was not
   * even asked, because it has not answered for a while.
   */
  | { kind: 'later'; code: ErrorCode; retryAfter?: number; unasked?: true };

/** What a failed attempt means for the event. What is not understood is tried again: an accepted event is not lost. */
export function verdictOf(error: unknown): Verdict {
  if (!(error instanceof AppError)) return { kind: 'later', code: 'INTERNAL' };
  const { code, retryAfter } = error;
  const when = retryAfter === undefined ? {} : { retryAfter };
  switch (code) {
    case 'KLAVIYO_REJECTED':
    case 'PROFILE_NOT_FOUND':
    case 'PROFILE_CONFLICT':
    case 'CONFLICT':
      return { kind: 'rejected', code, error };
    case 'KLAVIYO_KEY_INVALID':
    case 'KLAVIYO_SCOPE_MISSING':
    case 'KLAVIYO_REVISION_RETIRED':
      return { kind: 'refused', code, error };
    case 'KLAVIYO_RATE_LIMITED':
      return { kind: 'later', code, ...when };
    default:
      return isCircuitOpen(error) ? { kind: 'later', code, ...when, unasked: true } : { kind: 'later', code };
  }
}

/** What the row is told after an attempt. */
export interface Settlement {
  userId: number;
  connectionId: string;
  id: string;
  /** The lease under which it was sent. */
  lease: string;
  /** `queued` becomes `dead` when the next attempt would come after the event's expiry. */
  status: 'sent' | 'failed' | 'queued';
  error: ErrorCode | null;
  /** Seconds until the next attempt, for `queued`. */
  pause: number;
  /** 0 where Klaviyo was not asked, or refused the key: such attempts are not burnt. */
  attempts: 0 | 1;
}

/** Whose event under whose lease. */
export type Address = Pick<Settlement, 'userId' | 'connectionId' | 'id' | 'lease'>;

/** Until an event whose key was refused is looked at again; a new key wakes it at once. */
const KEY_PAUSE_SECONDS = 5;

/**
 * The settlement of an event that was accepted earlier.
 * @param attempts those before this one
 */
export function settlementOf(address: Address, attempts: number, verdict: Verdict): Settlement {
  const base = { ...address, pause: 0, attempts: 1 as const };
  switch (verdict.kind) {
    case 'sent':
      return { ...base, status: 'sent', error: null };
    case 'rejected':
      return { ...base, status: 'failed', error: verdict.code };
    case 'refused':
      return verdict.code === 'KLAVIYO_KEY_INVALID'
        ? { ...address, status: 'queued', error: verdict.code, pause: KEY_PAUSE_SECONDS, attempts: 0 }
        : { ...base, status: 'queued', error: verdict.code, pause: pauseAfter(attempts + 1) };
    case 'later':
      return {
        ...base,
        status: 'queued',
        error: verdict.code,
        attempts: verdict.unasked ? 0 : 1,
        pause: verdict.retryAfter ?? pauseAfter(attempts + 1),
      };
  }
}
