import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { callOf } from '../common/call';
import { AppError, invalid } from '../common/errors';
import { rulesOf } from '../common/route-rules';
import { parseUserId, userIdOrNone } from '../common/user-id';
import { USER_OPTIONAL } from './user-scope';

/** Finds the one user that a call is about, in the token, the body, the query and the header, or refuses the call. */
@Injectable()
export class UserScopeGuard implements CanActivate {
  constructor(private readonly reflector: Reflector) {}

  /** @throws AppError VALIDATION_FAILED (malformed), USER_SCOPE_MISMATCH (not one), USER_ID_REQUIRED (none) */
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    if (rulesOf(request).open === true) return true;
    const call = callOf(request);
    // The hook before the body lets nobody pass without a caller; a route that it did not see stays closed.
    if (!call?.caller) throw new AppError('UNAUTHENTICATED');
    const given = new Set(userIdsGiven(request));
    if (call.tokenUserId !== undefined) given.add(call.tokenUserId);
    if (given.size > 1) throw new AppError('USER_SCOPE_MISMATCH');
    const [userId] = given;
    if (userId === undefined && !this.isOptional(context)) throw new AppError('USER_ID_REQUIRED');
    call.scope = { userId, caller: call.caller };
    if (userId !== undefined) call.context.userId = userId;
    return true;
  }

  private isOptional(context: ExecutionContext): boolean {
    return this.reflector.getAllAndOverride<boolean | undefined>(USER_OPTIONAL, [context.getHandler()]) === true;
  }
}

/** Every `userId` of body, query and header. A parameter that is repeated counts as often as it is given. */
function userIdsGiven(request: FastifyRequest): number[] {
  const { body, query, headers } = request;
  const ids: (number | undefined)[] = [];
  if (hasUserId(body)) ids.push(userIdOrNone(body.userId));
  if (hasUserId(query)) ids.push(...[query.userId].flat().map(parseUserId));
  const header = headers['x-user-id'];
  if (header !== undefined)
    ids.push(
      ...[header]
        .flat()
        .flatMap((text) => text.split(',').map((item) => item.trim()))
        .map(parseUserId),
    );
  return ids.map((id) => {
    if (id === undefined) throw invalid('userId', 'notUserId');
    return id;
  });
}

function hasUserId(source: unknown): source is { userId: unknown } {
  return typeof source === 'object' && source !== null && Object.hasOwn(source, 'userId');
}
