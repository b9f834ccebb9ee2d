import type { FastifyRequest } from 'fastify';
import type { RequestContext } from './request-context';

/** Who calls: a service by the name of its key, or a user by a token of its own. */
export interface Caller {
  kind: 'service' | 'user';
  /** The name of the service key, or `user:<id>`. Never the credential. */
  name: string;
}

/** For whom a call is made. The only source of a `userId` in a controller. */
export interface UserScope {
  userId: number;
  caller: Caller;
}

/** The scope of a route that needs no user (`@UserOptional()`). */
export interface OptionalUserScope {
  userId: number | undefined;
  caller: Caller;
}

/** What the edge learns of a call, kept on Fastify's request. */
export interface CallFacts {
  context: RequestContext;
  /** Set once the credential is verified; absent on open routes. */
  caller?: Caller;
  /** The user of a user's own token. */
  tokenUserId?: number;
  /** Set by the scope guard. */
  scope?: OptionalUserScope;
}

const facts = new WeakMap<FastifyRequest, CallFacts>();

/** Notes the facts of a call; the first hook does so. */
export function openCall(request: FastifyRequest, context: RequestContext): CallFacts {
  const call: CallFacts = { context };
  facts.set(request, call);
  return call;
}

/** The facts of a call; undefined only for requests that Fastify refuses before any hook. */
export function callOf(request: FastifyRequest): CallFacts | undefined {
  return facts.get(request);
}
