import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { serviceVersion } from '../observability/build-info';
import { Metrics } from '../observability/metrics';
import { AccountHealth } from './account-health';
import { Chance } from './chance';

import { errorOf } from './klaviyo-error';
import { interpret, type Outcome } from './outcome';
import type { PreparedRequest } from './prepared-request';
import { KlaviyoQuota, type QuotaRequest } from './quota';
import { decide } from './retry';
import { KlaviyoTransport } from './transport';
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
    private readonly metrics: Metrics,
    private readonly clock: Clock,
    private readonly chance: Chance,
  ) {}

  /** @throws AppError and nothing else */
  async run(request: PreparedRequest): Promise<{ status: number; body: unknown }> {
    const quotaRequest: QuotaRequest = { ...request, accountId: request.access.accountId };
    for (let attempt = 1; ; attempt += 1) {
      await this.slot(quotaRequest);
      const outcome = await this.attempt(request, quotaRequest, attempt);
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

  private async slot(request: QuotaRequest): Promise<void> {
    const operation = request.operation.name;
    const from = this.clock.now();
    try {
      await this.quota.acquire(request);
      this.metrics.klaviyoQuotaUsed.inc({ operation }, request.buckets.length);
    } finally {
      this.metrics.klaviyoQuotaWait.inc({ operation }, Math.max(0, this.clock.now() - from) / 1000);
    }
  }

  private async attempt(request: PreparedRequest, quota: QuotaRequest, attempt: number): Promise<Outcome> {
    const from = this.clock.now();
    const timeoutMs = Math.min(request.timeoutMs, request.deadline - from);
    if (timeoutMs <= 0) return { kind: 'timeout' };
    const result = await this.transport.send({ ...this.wire(request), timeoutMs });
    const now = this.clock.now();
    const outcome = interpret(result, request.operation.method === 'GET', now);
    if (outcome.kind === 'throttled') this.quota.refused(quota, outcome.retryAfterMs ?? 1000);
    else if (result.kind === 'answer' && result.rateLimit !== undefined) this.quota.learn(quota, result.rateLimit);
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

  /** A page from something between (a block page, a redirect) is no answer: what waits for Klaviyo waits on. */
  private tellHealth(accountId: string, outcome: Outcome): void {
    if (outcome.kind === 'success' || outcome.kind === 'refused' || outcome.kind === 'throttled')
      this.health.answered(accountId);
    else this.health.failed(accountId);
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

const LABELS = {
  success: 'success',
  refused: 'refused',
  throttled: 'throttled',
  failed: 'failed',
  garbled: 'failed',
  timeout: 'timeout',
  network: 'network',
} as const satisfies Record<Outcome['kind'], string>;
