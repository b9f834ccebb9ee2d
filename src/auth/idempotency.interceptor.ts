import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import {
  Inject,
  Injectable,
  Logger,
  SetMetadata,
  type CallHandler,
  type CustomDecorator,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { of, type Observable } from 'rxjs';
import { callOf, type CallFacts } from '../common/call';
import { Clock } from '../common/clock';
import { routeTemplate } from '../common/controller';
import { AppError, invalid } from '../common/errors';
import { ENV, type Env } from '../config/env';
import { canonicalJson } from './canonical';
import { IdempotencyRepository, type KeptAnswer, type KeyState, type KeyUse } from './idempotency.repository';

const HEADER = 'idempotency-key';
const METADATA = 'edge:idempotent';

/** `@Idempotent(false)`: a POST that only reads, for which the header means nothing. */
export function Idempotent(honoured: boolean): CustomDecorator {
  return SetMetadata(METADATA, honoured);
}

/** Answers that stand: a repetition would come to the same. 401, 403, 429 and 5xx are worth another try. */
const KEPT = new Set([400, 404, 409]);
/** A request may overrun its deadline a little; after that it has crashed. */
const LEASE_MARGIN_MS = 15_000;
/** The second of two equal requests asks in growing pauses and holds no database line meanwhile. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 500;
/** What is left of the deadline to write the answer. */
const ANSWER_MARGIN_MS = 250;

type Marked =
  { kind: 'claimed'; userId: number; keyHash: Buffer; leaseToken: string } | { kind: 'replayed'; answer: KeptAnswer };

/**
 * Honours `Idempotency-Key` on every POST that changes something. The key is claimed before the handler runs; the
 * finished answer is kept, or the key given back, in the `onSend` hook, where its bytes are final.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  private readonly logger = new Logger('Idempotency');
  private readonly marked = new WeakMap<FastifyRequest, Marked>();

  constructor(
    private readonly reflector: Reflector,
    private readonly keys: IdempotencyRepository,
    private readonly clock: Clock,
    @Inject(ENV) private readonly env: Env,
  ) {}

  /** @throws AppError VALIDATION_FAILED (header), IDEMPOTENCY_KEY_REUSED, IDEMPOTENCY_IN_PROGRESS */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> | Promise<Observable<unknown>> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const key = request.headers[HEADER];
    if (request.method !== 'POST' || key === undefined) return next.handle();
    const call = callOf(request);
    const userId = call?.scope?.userId;
    const isHonoured = this.reflector.get<boolean | undefined>(METADATA, context.getHandler()) !== false;
    if (!call || userId === undefined || !isHonoured) return next.handle();
    return this.once(request, call, userId, key, next);
  }

  private async once(
    request: FastifyRequest,
    call: CallFacts,
    userId: number,
    key: string | string[],
    next: CallHandler,
  ): Promise<Observable<unknown>> {
    if (typeof key !== 'string' || !/^[\x20-\x7e]{1,255}$/.test(key)) throw invalid('Idempotency-Key', 'badHeader');
    const use = useOf(request, call, key);
    const known = await this.settle(userId, use, call.context.deadline);
    if (known.state === 'answered') {
      this.marked.set(request, { kind: 'replayed', answer: known.answer });
      // The hook below puts the kept answer in the place of this one.
      return of(undefined);
    }
    this.marked.set(request, { kind: 'claimed', userId, keyHash: use.keyHash, leaseToken: known.leaseToken });
    return next.handle();
  }

  /** Claims the key or waits for the request that has it, within the deadline. */
  private async settle(
    userId: number,
    use: KeyUse,
    deadline: number,
  ): Promise<Extract<KeyState, { state: 'claimed' | 'answered' }>> {
    const leaseMs = this.env.requestDeadlineMs + LEASE_MARGIN_MS;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 1.5, LONGEST_PAUSE_MS)) {
      const known = await this.keys.claim(userId, use, randomUUID(), leaseMs);
      if (known.state === 'claimed' || known.state === 'answered') return known;
      if (known.state === 'reused') throw new AppError('IDEMPOTENCY_KEY_REUSED');
      if (this.clock.now() + pause >= deadline - ANSWER_MARGIN_MS) throw new AppError('IDEMPOTENCY_IN_PROGRESS');
      await wait(pause);
    }
  }

  /** The hook that `configure` puts on every answer. */
  readonly onSend = (
    request: FastifyRequest,
    reply: FastifyReply,
    payload: unknown,
    done: (error: null, payload: unknown) => void,
  ): void => {
    const marked = this.marked.get(request);
    if (marked) this.marked.delete(request);
    if (marked?.kind === 'claimed') void this.finish(marked, reply, payload).then(() => done(null, payload));
    else done(null, marked ? replay(reply, marked.answer) : payload);
  };

  /** The work is done whatever happens here: a failure is logged, and the lease frees the key. */
  private async finish(
    claim: Extract<Marked, { kind: 'claimed' }>,
    reply: FastifyReply,
    payload: unknown,
  ): Promise<void> {
    const { userId, keyHash, leaseToken } = claim;
    try {
      const answer = answerOf(reply, payload);
      if (answer) await this.keys.keep(userId, keyHash, leaseToken, answer);
      else await this.keys.release(userId, keyHash, leaseToken);
    } catch (error) {
      this.logger.warn('An answer could not be kept', { err: error });
    }
  }
}

function useOf(request: FastifyRequest, call: CallFacts, key: string): KeyUse {
  const route = `${request.method} ${routeTemplate(request.routeOptions.url ?? '')}`;
  const caller = call.caller?.kind === 'service' ? `service:${call.caller.name}` : 'user';
  return {
    route,
    keyHash: createHash('sha256')
      .update(JSON.stringify([caller, route, key]))
      .digest(),
    request: canonicalJson([request.params, request.query, request.body ?? null]),
  };
}

function answerOf(reply: FastifyReply, payload: unknown): KeptAnswer | undefined {
  const status = reply.statusCode;
  if (!(status >= 200 && status < 300) && !KEPT.has(status)) return undefined;
  const isText = typeof payload === 'string' || payload === null || payload === undefined;
  if (!isText && !Buffer.isBuffer(payload)) return undefined;
  const language = reply.getHeader('content-language');
  return {
    status,
    contentType: String(reply.getHeader('content-type') ?? ''),
    ...(typeof language === 'string' ? { contentLanguage: language } : {}),
    body: payload?.toString() ?? '',
  };
}

function replay(reply: FastifyReply, answer: KeptAnswer): string {
  void reply.code(answer.status).header('idempotency-replayed', 'true').removeHeader('content-length');
  if (answer.contentType !== '') reply.header('content-type', answer.contentType);
  if (answer.contentLanguage !== undefined) reply.header('content-language', answer.contentLanguage);
  return answer.body;
}
