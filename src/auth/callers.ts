import { hash, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callOf, type Caller } from '../common/call';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { rulesOf } from '../common/route-rules';
import { ENV, type Env } from '../config/env';
import { WrongCredentials } from './attempts';
import { UserTokens } from './user-token';

interface KnownKey {
  name: string;
  hash: Buffer;
}

/** Decides who calls, before a byte of the body is read. Every address is closed unless its route says `@Public()`. */
@Injectable()
export class Callers {
  private readonly keys: readonly KnownKey[];
  private readonly wrong = new WrongCredentials();

  constructor(
    @Inject(ENV) env: Env,
    private readonly tokens: UserTokens,
    private readonly clock: Clock,
  ) {
    this.keys = env.serviceApiKeys.map(({ name, secret }) => ({ name, hash: sha256(secret) }));
  }

  /** The hook that `configure` puts on every request. */
  readonly hook = async (request: FastifyRequest, _reply: FastifyReply): Promise<void> => {
    if (rulesOf(request).open === true) return;
    const call = callOf(request);
    const known = await this.identify(request.headers.authorization);
    if (known && call) {
      call.caller = known.caller;
      if (known.userId !== undefined) call.tokenUserId = known.userId;
      return;
    }
    if (request.headers.authorization !== undefined) {
      const retryAfter = this.wrong.note(request.ip, this.clock.now());
      if (retryAfter !== undefined) throw new AppError('RATE_LIMITED', { retryAfter });
    }
    throw new AppError('UNAUTHENTICATED');
  };

  private async identify(header: string | undefined): Promise<{ caller: Caller; userId?: number } | undefined> {
    const token = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
    if (token === undefined) return undefined;
    const name = this.serviceOf(token);
    if (name !== undefined) return { caller: { kind: 'service', name } };
    const userId = await this.tokens.userOf(token);
    return userId === undefined ? undefined : { caller: { kind: 'user', name: `user:${userId}` }, userId };
  }

  /** Compares with every key, whichever fits: the time says nothing about how many there are or which one came close. */
  private serviceOf(token: string): string | undefined {
    const given = sha256(token);
    let found: string | undefined;
    for (const key of this.keys) if (timingSafeEqual(given, key.hash)) found = key.name;
    return found;
  }
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
