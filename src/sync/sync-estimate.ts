import type { RequestsByOperation } from './sync-resource.entity';
import type { SyncEstimate } from './sync-run.entity';

/** What a resource cost when it was last read in the same way; null where it never was. */
export type LastCost = { operations: RequestsByOperation; seconds: number } | null;

/**
 * What a run is expected to cost, by what its resources cost the last time. Unknown as a whole where one was never read:
 * a sum without it would only look like an answer.
 */
export function estimateOf(costs: readonly LastCost[]): SyncEstimate {
  const known = costs.filter((cost) => cost !== null);
  if (known.length < costs.length || known.length === 0) return { requests: null, minutes: null, quotaShare: null };
  const byOperation = new Map<string, { requests: number; steady: number }>();
  for (const { operations } of known)
    for (const [name, { requests, steady }] of Object.entries(operations))
      byOperation.set(name, { requests: (byOperation.get(name)?.requests ?? 0) + requests, steady });
  const all = [...byOperation.values()];
  // Klaviyo's limits count by operation: the busiest one decides. Resources are read side by side.
  const floor = Math.max(0, ...all.map(({ requests, steady }) => (steady > 0 ? requests / steady : 0)));
  const minutes = Math.max(floor, ...known.map(({ seconds }) => seconds / 60));
  return {
    requests: all.reduce((sum, { requests }) => sum + requests, 0),
    minutes: Math.round(minutes * 100) / 100,
    quotaShare: minutes > 0 ? Math.round((floor / minutes) * 100) / 100 : 0,
  };
}
