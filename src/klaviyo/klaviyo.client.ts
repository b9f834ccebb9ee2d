import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { currentContext } from '../common/request-context';
import { ENV, type Env } from '../config/env';
import { AccountHealth } from './account-health';
import { KlaviyoAttempts } from './attempts';
import { CursorGuard } from './cursor';
import type { Collection, Resource } from './json-api';
import type { KlaviyoAccess } from './klaviyo-access';
import type { KlaviyoAnswer, KlaviyoCall, KlaviyoPage, PagesCall } from './klaviyo-call';
import { badNext, unavailable } from './klaviyo-error';
import { pageSizeOf, type Operation } from './operation';
import { following, prepare, type PreparedRequest } from './prepared-request';
import { retiresAt, revisionToSend, servedAs } from './revisions';

export type { KlaviyoAnswer, KlaviyoCall, KlaviyoPage, PagesCall } from './klaviyo-call';

type KeyRefusedListener = (access: KlaviyoAccess) => void | Promise<void>;

/** The only code that speaks HTTP to Klaviyo. It holds no key: each call brings its own. */
@Injectable()
export class KlaviyoClient implements OnModuleInit {
  private readonly logger = new Logger('Klaviyo');
  private readonly keyRefusedListeners: KeyRefusedListener[] = [];

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly clock: Clock,
    private readonly attempts: KlaviyoAttempts,
    private readonly health: AccountHealth,
  ) {}

  onModuleInit(): void {
    const base = this.env.klaviyoApiRevision;
    const now = this.clock.now();
    if (now < retiresAt(base)) return;
    this.logger.warn({
      msg: `KLAVIYO_API_REVISION ${base} was retired by Klaviyo on ${isoDate(retiresAt(base))}: Klaviyo answers it as ${servedAs(base, now)}, and as a later one each time that one retires. Set a newer revision.`,
      revision: base,
      servedAs: servedAs(base, now),
    });
  }

  /**
   * One operation, its waits and retries included, until an answer or the deadline. `T` is the document that the
   * operation answers with (`Document`, `Collection`), or undefined where Klaviyo sends no body.
   * @throws AppError and nothing else: KLAVIYO_KEY_INVALID, KLAVIYO_SCOPE_MISSING (`extra.scopes`), KLAVIYO_PLAN_REQUIRED,
   * the …_NOT_FOUND of the operation's resource, PROFILE_CONFLICT (`extra.profileIds`), CONFLICT, KLAVIYO_REJECTED (with
   * Klaviyo's pointers as fields: see `mapPointer`), KLAVIYO_REVISION_RETIRED, KLAVIYO_RATE_LIMITED, KLAVIYO_UNAVAILABLE,
   * KLAVIYO_TIMEOUT, SERVICE_UNAVAILABLE (the process stops)
   */
  async call<T>(access: KlaviyoAccess, operation: Operation, call: KlaviyoCall = {}): Promise<KlaviyoAnswer<T>> {
    const request = this.prepared(access, operation, call);
    const { status, body } = await this.run(request);
    return { status, body: body as T, revision: request.revision };
  }

  /**
   * Page after page, of the largest size unless said otherwise. Each `next` is judged before its page is given, so
   * that every `next` that comes out may be kept and passed back as `cursor`.
   * @throws AppError as `call`; KLAVIYO_UNAVAILABLE for a `next` that is not to be followed; for a cursor that Klaviyo
   * takes no more see `isCursorExpired`
   */
  async *pages<A>(access: KlaviyoAccess, operation: Operation, call: PagesCall = {}): AsyncGenerator<KlaviyoPage<A>> {
    const { cursor, pageSize, ...rest } = call;
    const { served } = this.revisionFor(operation, call.needs);
    const query = { ...rest.query, 'page[size]': pageSizeOf(operation, served, pageSize) };
    const first = this.prepared(access, operation, { ...rest, query });
    const guard = new CursorGuard(first.url);
    let request = cursor === undefined ? first : this.followed(first, guard, cursor);
    for (;;) {
      const { data, included = [], links } = (await this.run(request)).body as Collection<A>;
      if (!Array.isArray(data)) throw unavailable(`the answer to ${operation.name} is not a collection`);
      const next = links?.['next'] ?? null;
      const following = next === null ? null : this.followed(first, guard, next);
      yield { items: data as Resource<A>[], included: [...included], next: following?.url.href ?? null };
      if (following === null) return;
      request = this.renewed(following, call);
    }
  }

  /** The revision that the operation goes out under, and the one that Klaviyo will answer as: bodies are built for `served`. */
  revisionFor(operation: Operation, needs?: string): { sent: string; served: string } {
    const now = this.clock.now();
    const needed = needs !== undefined && needs > operation.since ? needs : operation.since;
    const sent = revisionToSend(this.env.klaviyoApiRevision, needed, now);
    return { sent, served: servedAs(sent, now) };
  }

  /** Told each time an account answers again after transport failures or 5xx. */
  onRecovered(listener: (accountId: string) => void): void {
    this.health.onRecovered(listener);
  }

  /** Told of each key that Klaviyo itself refused (a 401 in JSON:API, never an HTML page), before the call's error is thrown. */
  onKeyRefused(listener: KeyRefusedListener): void {
    this.keyRefusedListeners.push(listener);
  }

  private prepared(access: KlaviyoAccess, operation: Operation, call: KlaviyoCall): PreparedRequest {
    return prepare(access, operation, call, {
      baseUrl: this.env.klaviyoApiBaseUrl,
      revision: this.revisionFor(operation, call.needs),
      deadline: this.deadline(),
      maxRetries: this.env.klaviyoMaxRetries,
      timeoutMs: this.env.klaviyoTimeoutMs,
    });
  }

  private deadline(): number {
    return currentContext()?.deadline ?? this.clock.now() + this.env.requestDeadlineMs;
  }

  /** Outside requests, each page of a long pass has a deadline of its own. */
  private renewed(request: PreparedRequest, call: KlaviyoCall): PreparedRequest {
    return { ...request, deadline: call.deadline ?? this.deadline() };
  }

  private async run(request: PreparedRequest): Promise<{ status: number; body: unknown }> {
    try {
      return await this.attempts.run(request);
    } catch (error) {
      if (error instanceof AppError && error.code === 'KLAVIYO_KEY_INVALID') await this.tellKeyRefused(request.access);
      throw error;
    }
  }

  private followed(first: PreparedRequest, guard: CursorGuard, next: string): PreparedRequest {
    const judged = guard.judge(next);
    if ('url' in judged) return following(first, judged.url);
    const { operation, access } = first;
    this.logger.warn({
      msg: `security: Klaviyo's next page is not followed: ${judged.fault}`,
      event: 'klaviyo.cursor.refused',
      operation: operation.name,
      fault: judged.fault,
      ...access.toJSON(),
    });
    throw badNext(operation, judged.fault);
  }

  private async tellKeyRefused(access: KlaviyoAccess): Promise<void> {
    for (const listener of this.keyRefusedListeners) {
      try {
        await listener(access);
      } catch {
        this.logger.error({ msg: 'a listener of the refused key failed', ...access.toJSON() });
      }
    }
  }
}

function isoDate(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}
