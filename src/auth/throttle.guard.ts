import { Injectable, type ExecutionContext } from '@nestjs/common';
import { ThrottlerGuard, type ThrottlerLimitDetail } from '@nestjs/throttler';
import type { FastifyRequest } from 'fastify';
import { callOf } from '../common/call';
import { AppError } from '../common/errors';
import { rulesOf } from '../common/route-rules';

/** Bounds the calls that are made for one user, whoever makes them and whichever routes they use. */
@Injectable()
export class UserThrottlerGuard extends ThrottlerGuard {
  protected override shouldSkip(context: ExecutionContext): Promise<boolean> {
    return Promise.resolve(rulesOf(context.switchToHttp().getRequest<FastifyRequest>()).open === true);
  }

  /** The user; the caller's name on a route that was called without one. */
  protected override getTracker(request: Record<string, unknown>): Promise<string> {
    const scope = callOf(request as unknown as FastifyRequest)?.scope;
    return Promise.resolve(scope?.userId === undefined ? `caller:${scope?.caller.name ?? ''}` : `user:${scope.userId}`);
  }

  /** One budget for all routes together. */
  protected override generateKey(_context: ExecutionContext, tracker: string): string {
    return tracker;
  }

  protected override throwThrottlingException(_context: ExecutionContext, detail: ThrottlerLimitDetail): Promise<void> {
    return Promise.reject(new AppError('RATE_LIMITED', { retryAfter: detail.timeToBlockExpire }));
  }
}
