import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { callOf, openCall, type CallFacts } from '../common/call';
import type { Clock } from '../common/clock';
import { languageOf } from '../common/messages';
import { runInContext } from '../common/request-context';

const REQUEST_ID = /^[A-Za-z0-9._-]{8,128}$/;

/** The caller's own request id where it is one, else a new one. */
export function requestIdOf(headers: IncomingHttpHeaders): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : newRequestId();
}

/** A UUID of version 7. Node draws the random part from a store: a tenth of the cost of making one call by call. */
function newRequestId(): string {
  const time = Date.now().toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/** The first hook of all: everything that a call does from here on runs in its context. */
export function contextHook(clock: Clock, deadlineMs: number) {
  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const { context } = open(request, reply, clock.now() + deadlineMs);
    runInContext(context, done);
  };
}

function open(request: FastifyRequest, reply: FastifyReply, deadline: number): CallFacts {
  reply.header('x-request-id', request.id);
  return openCall(request, {
    requestId: request.id,
    language: languageOf(request.headers['accept-language']),
    deadline,
  });
}

/** The facts of a call, made now for one that was refused before its hooks ran. */
export function factsOf(request: FastifyRequest, reply: FastifyReply): CallFacts {
  return callOf(request) ?? open(request, reply, 0);
}
