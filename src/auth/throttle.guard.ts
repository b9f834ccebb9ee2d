import { Injectable, type ExecutionContext } from '@nestjs/common';
import { ThrottlerGuard } from '@nestjs/throttler';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callOf } from '../common/call';
import { AppError } from '../common/errors';
import { rulesOf } from '../common/route-rules';

/** Bounds the calls that are made for one user, whoever makes them and whichever routes they use. */
@Injectable()
export class UserThrottlerGuard extends ThrottlerGuard {
  /**
   * One budget for all routes together, so no route is asked for a limit of its own: that would cost more than counting.
   * @throws AppError RATE_LIMITED
   */
  override async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    if (rulesOf(request).open === true) return true;
    const { limit, ttl } = this.throttlers[0] ?? {};
    if (typeof limit !== 'number' || typeof ttl !== 'number') throw new Error('The throttler has no fixed limit');
    const counted = await this.storageService.increment(trackerOf(request), ttl, limit, ttl, 'default');
    if (counted.isBlocked) throw new AppError('RATE_LIMITED', { retryAfter: counted.timeToBlockExpire });
    http
      .getResponse<FastifyReply>()
      .header('x-ratelimit-limit', limit)
      .header('x-ratelimit-remaining', Math.max(0, limit - counted.totalHits))
      .header('x-ratelimit-reset', counted.timeToExpire);
    return true;
  }
}

/** The user; the caller's name on a route that was called without one. */
function trackerOf(request: FastifyRequest): string {
  const scope = callOf(request)?.scope;
  return scope?.userId === undefined ? `caller:${scope?.caller.name ?? ''}` : `user:${scope.userId}`;
}
