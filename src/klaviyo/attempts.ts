import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { serviceVersion } from '../observability/build-info';
import { Metrics } from '../observability/metrics';
import { AccountHealth } from './account-health';
import { Chance } from './chance';
import { errorOf } from './klaviyo-error';
import { interpret, type Outcome } from './outcome';
import type { PreparedRequest } from './prepared-request';
import { KlaviyoQuota } from './quota';
import { decide } from './retry';
import { KlaviyoTransport } from './transport';
import { UsageRecorder } from './usage-recorder';
import { Waits } from './waits';

const JSON_API = 'application/vnd.api+json';

/** Sends one request as often as retry, quota and deadline allow. */
@Injectable()
export class KlaviyoAttempts {
  private readonly logger = new Logger('Klaviyo');
  private readonly userAgent = `crealia-klaviyo-service/${serviceVersion()}`;

  constructor(
    private readonly transport: KlaviyoTransport,
    private readonly quota: KlaviyoQuota,
    private readonly health: AccountHealth,
    private readonly waits: Waits,
    private readonly usage: UsageRecorder,
    private readonly metrics: Metrics,
    private readonly clock: Clock,
    private readonly chance: Chance,
  ) {}

  /** @throws AppError and nothing else */
  async run(request: PreparedRequest): Promise<{ status: number; body: unknown }> {
    try {
      return await this.tries(request);
    } catch (error) {
      if (error instanceof AppError) this.usage.failed(request, error.code);
      throw error;
    }
  }

  private async tries(request: PreparedRequest): Promise<{ status: number; body: unknown }> {
    for (let attempt = 1; ; attempt += 1) {
      await this.slot(request);
      const outcome = await this.attempt(request, attempt);
      if (outcome.kind === 'success') return outcome;
      const again = decide({
        outcome,
        attempt,
        maxRetries: request.maxRetries,
        repeatable: request.repeatable,
        now: this.clock.now(),
        deadline: request.deadline,
        random: this.chance.next(),
      });
      if (again === null)
        throw errorOf(outcome, { ...request, filter: request.url.searchParams.get('filter') ?? undefined });
      await this.waits.sleep(again.waitMs);
    }
  }

  private async slot(request: PreparedRequest): Promise<void> {
    const operation = request.operation.name;
    const from = this.clock.now();
    this.usage.waits(request);
    try {
      await this.quota.acquire(request);
      this.usage.starts(request);
      this.metrics.klaviyoQuotaUsed.inc({ operation }, request.buckets.length);
    } finally {
      this.usage.waitsNoMore(request);
      const waitedMs = Math.max(0, this.clock.now() - from);
      this.metrics.klaviyoQuotaWait.inc({ operation }, waitedMs / 1000);
      request.tally?.waited(request.operation, steadyOf(request), waitedMs);
    }
  }

  private async attempt(request: PreparedRequest, attempt: number): Promise<Outcome> {
    const from = this.clock.now();
    const timeoutMs = Math.min(request.timeoutMs, request.deadline - from);
    if (timeoutMs <= 0) return { kind: 'timeout' };
    request.tally?.request(request.operation, steadyOf(request));
    const result = await this.transport.send({ ...this.wire(request), timeoutMs });
    const now = this.clock.now();
    const outcome = interpret(result, request.operation.method === 'GET', now);
    if (outcome.kind === 'throttled') {
      this.quota.refused(request, outcome.retryAfterMs ?? 1000);
      this.usage.throttled(request);
      request.tally?.throttled(request.operation, steadyOf(request));
      this.metrics.klaviyoThrottled.inc({ operation: request.operation.name });
    } else if (result.kind === 'answer' && result.rateLimit !== undefined)
      this.quota.learn(request, result.rateLimit, result.remaining);
    // Cut short by the caller's deadline, an attempt says little of Klaviyo.
    if (outcome.kind !== 'timeout' || timeoutMs >= request.timeoutMs / 2)
      this.tellHealth(request.access.accountId, outcome);
    this.record(request, attempt, now - from, outcome, result.kind === 'answer' ? result.requestId : undefined);
    return outcome;
  }

  private wire({ operation, url, revision, access, payload }: PreparedRequest) {
    const headers = {
      Accept: JSON_API,
      Authorization: access.authorization(),
      'User-Agent': this.userAgent,
      revision,
      ...(payload === undefined ? {} : { 'Content-Type': JSON_API }),
    };
    return { method: operation.method, url: url.href, headers, body: payload };
  }

  /**
   * A page from something between (a block page, a redirect) says that the line works, and nothing of Klaviyo: what
   * waits is woken when it answers itself.
   */
  private tellHealth(accountId: string, outcome: Outcome): void {
    const { kind } = outcome;
    if (kind === 'success' || kind === 'refused' || kind === 'throttled') this.health.answered(accountId);
    else if (kind === 'timeout' || kind === 'network' || outcome.status >= 500) this.health.failed(accountId);
    else this.health.garbled(accountId);
  }

  private record(request: PreparedRequest, attempt: number, ms: number, outcome: Outcome, requestId?: string): void {
    const { operation, access } = request;
    this.metrics.klaviyoRequests.inc({ operation: operation.name, outcome: LABELS[outcome.kind] });
    this.metrics.klaviyoDuration.observe({ operation: operation.name }, ms / 1000);
    const line = {
      msg: outcome.kind === 'success' ? 'Klaviyo answered' : `Klaviyo call ended: ${outcome.kind}`,
      operation: operation.name,
      method: operation.method,
      path: operation.path,
      status: 'status' in outcome ? outcome.status : outcome.kind === 'throttled' ? 429 : null,
      outcome: outcome.kind,
      ms,
      attempt,
      klaviyoRequestId: requestId,
      ...access.toJSON(),
    };
    // That something is not there, or is there already, is an answer like any other.
    const ordinary = outcome.kind === 'refused' && (outcome.status === 404 || outcome.status === 409);
    if (outcome.kind === 'success' || ordinary) this.logger.debug(line);
    else this.logger.warn(line);
  }
}

/** Calls a minute that Klaviyo publishes for the endpoint itself. */
function steadyOf({ buckets }: PreparedRequest): number {
  return buckets[0]?.limits.steady ?? Infinity;
}

const LABELS = {
  success: 'success',
  refused: 'refused',
  throttled: 'throttled',
  failed: 'failed',
  garbled: 'failed',
  timeout: 'timeout',
  network: 'network',
} as const satisfies Record<Outcome['kind'], string>;
