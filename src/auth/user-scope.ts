import { createParamDecorator, SetMetadata, type CustomDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { callOf, type OptionalUserScope } from '../common/call';
import { routeRules, type RouteRules } from '../common/route-rules';

export type { OptionalUserScope, UserScope } from '../common/call';

/** Opens a route (or a whole controller) to anybody. `test/routes.spec.ts` lists every open route literally. */
export function Public(rules: Pick<RouteRules, 'anyOrigin'> = {}): ClassDecorator & MethodDecorator {
  return routeRules({ ...rules, open: true });
}

export const USER_OPTIONAL = 'edge:user-optional';

/** A route that answers without a user too; its scope is an `OptionalUserScope`. */
export function UserOptional(): CustomDecorator {
  return SetMetadata(USER_OPTIONAL, true);
}

/** The user and caller of the call: `@Scope() scope: UserScope` (`OptionalUserScope` beside `@UserOptional()`). */
export const Scope = createParamDecorator((_: unknown, context: ExecutionContext): OptionalUserScope => {
  const scope = callOf(context.switchToHttp().getRequest<FastifyRequest>())?.scope;
  if (!scope) throw new Error('@Scope() on a route without a scope: is it @Public()?');
  return scope;
});
