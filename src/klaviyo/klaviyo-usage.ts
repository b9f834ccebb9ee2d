import { Injectable } from '@nestjs/common';
import { CircuitSystemRepository, type CircuitState } from './circuit.system.repository';
import { KlaviyoClient } from './klaviyo.client';
import { limitsOf } from './operation';
import { operations } from './operations';
import type { QuotaLimits } from './quota';
import { QuotaLedger, type BucketUse } from './quota-ledger';
import { UsageRecorder } from './usage-recorder';
import { UsageRepository, type OperationUse } from './usage.repository';

/** How one endpoint's quota stands: see `GET /connections/:id/usage`. */
export interface OperationUsage {
  operation: string;
  burst: number;
  steady: number;
  daily: number | null;
  used: number;
  otherUse: number;
  left: number;
  waiting: number;
  throttled: number;
  circuit: CircuitState;
  lastError: { code: string; at: Date } | null;
}

/** Puts together how the quota of a connection's account stands, for every endpoint that the service may call. */
@Injectable()
export class KlaviyoUsage {
  constructor(
    private readonly client: KlaviyoClient,
    private readonly ledger: QuotaLedger,
    private readonly circuits: CircuitSystemRepository,
    private readonly recorder: UsageRecorder,
    private readonly rows: UsageRepository,
  ) {}

  /**
   * By name. What this process did counts to the moment; what other replicas did, as they told it within two seconds.
   * @throws DatabaseError
   */
  async of(userId: number, connectionId: string, accountId: string): Promise<OperationUsage[]> {
    await this.recorder.tell();
    const [uses, buckets, circuit] = await Promise.all([
      this.rows.of(userId, connectionId),
      this.ledger.use(accountId),
      this.circuits.stateOf(accountId),
    ]);
    const useOf = new Map(uses.map((use) => [use.operation, use]));
    const bucketOf = new Map(buckets.map((bucket) => [bucket.name, bucket]));
    return [...this.published()]
      .map(([name, limits]) => usageOf(name, bucketOf.get(name) ?? untouched(name, limits), useOf.get(name), circuit))
      .sort((a, b) => (a.operation < b.operation ? -1 : 1));
  }

  /** Every counter with the limits that Klaviyo publishes, the second budgets under names of their own. */
  private published(): Map<string, QuotaLimits> {
    const limits = new Map<string, QuotaLimits>();
    for (const operation of Object.values(operations)) {
      const { served } = this.client.revisionFor(operation);
      limits.set(operation.name, limitsOf(operation, served));
      for (const extra of operation.extraBudgets ?? []) if (served >= extra.from) limits.set(extra.name, extra);
    }
    return limits;
  }
}

function untouched(name: string, limits: QuotaLimits): BucketUse {
  return { name, limits, day: 0, share: 1, pace: 1, others: 0, held: 0 };
}

function usageOf(
  operation: string,
  { limits, day, share, pace, held }: BucketUse,
  use: OperationUse | undefined,
  circuit: CircuitState,
): OperationUsage {
  const { burst, steady, daily } = limits;
  const used = use?.used ?? 0;
  const ours = used + (use?.usedByOthers ?? 0);
  // What 429s took from the pace is what others were found to use.
  const foreign = Math.round((1 - pace) * steady * share);
  const leftOfMinute = Math.floor(steady * share) - ours - foreign;
  const leftOfDay = daily === undefined ? Infinity : Math.floor(daily * share) - day;
  return {
    operation,
    burst,
    steady,
    daily: daily ?? null,
    used,
    otherUse: ours - used + foreign,
    left: held > 0 ? 0 : Math.max(0, Math.min(leftOfMinute, leftOfDay)),
    waiting: use?.waiting ?? 0,
    throttled: use?.throttled ?? 0,
    circuit,
    lastError: use?.errorCode && use.errorAt ? { code: use.errorCode, at: use.errorAt } : null,
  };
}
