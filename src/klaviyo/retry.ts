import type { Outcome } from './outcome';

/** All that the decision to send once more rests on. */
export interface AttemptFacts {
  outcome: Exclude<Outcome, { kind: 'success' }>;
  /** 1 for the first. */
  attempt: number;
  /** Attempts after the first. */
  maxRetries: number;
  /** May the request arrive twice and change nothing more? */
  repeatable: boolean;
  /** Epoch milliseconds, when the answer had arrived. */
  now: number;
  deadline: number;
  /** [0, 1) */
  random: number;
}

const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 10_000;
const FIRST_THROTTLED_MS = 1000;
const LONGEST_THROTTLED_MS = 60_000;

/**
 * Send once more, and after which wait? Null: no. A 429 was not done, so it always may be repeated, exactly after
 * `Retry-After`. No answer, or a 5xx, was perhaps done: only what is repeatable goes out again. No wait goes beyond
 * the deadline.
 */
export function decide(facts: AttemptFacts): { waitMs: number } | null {
  if (facts.attempt > facts.maxRetries) return null;
  const waitMs = waitOf(facts);
  if (waitMs === null || facts.now + waitMs >= facts.deadline) return null;
  return { waitMs };
}

function waitOf(facts: AttemptFacts): number | null {
  const { outcome, repeatable } = facts;
  switch (outcome.kind) {
    case 'throttled':
      return outcome.retryAfterMs ?? throttledBackoff(facts);
    case 'failed':
      return repeatable ? Math.max(outcome.retryAfterMs ?? 0, backoff(facts)) : null;
    case 'garbled':
      // Half an answer may be whole the next time. A redirect, a block page or a flood stays what it is.
      return repeatable && outcome.status < 300 && outcome.what !== 'too large' ? backoff(facts) : null;
    case 'timeout':
      return repeatable ? backoff(facts) : null;
    case 'network':
      return repeatable || !outcome.sent ? backoff(facts) : null;
    case 'refused':
      return null;
  }
}

/** Exponential with full jitter: clients that failed together do not come back together. */
function backoff({ attempt, random }: AttemptFacts): number {
  return Math.round(random * Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (attempt - 1)));
}

/** Klaviyo named no time: at least the exponential step, since an earlier return only prolongs the throttling. */
function throttledBackoff({ attempt, random }: AttemptFacts): number {
  return Math.round(Math.min(LONGEST_THROTTLED_MS, FIRST_THROTTLED_MS * 2 ** (attempt - 1)) * (1 + random / 4));
}
