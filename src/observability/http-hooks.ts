import type { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { routeTemplate } from '../common/controller';

/** What both the log and the metrics tell of an answered call. */
export interface AnsweredCall {
  method: string;
  /** The route's template under its versioned address; `unknown` where no route answered. */
  route: string;
  status: number;
  /** From the arrival of the request line to the end of the answer. */
  milliseconds: number;
}

const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);
/** nginx's number for a caller that hung up before the answer. */
export const HUNG_UP = 499;

/** Calls `observe` once for every call that Fastify took, however it ended. */
export function onAnswer(
  host: HttpAdapterHost,
  observe: (request: FastifyRequest, reply: FastifyReply, call: AnsweredCall) => void,
): void {
  const fastify = host.httpAdapter.getInstance<FastifyInstance>();
  fastify.addHook('onResponse', (request, reply, done) => {
    observe(request, reply, answered(request, reply));
    done();
  });
}

function answered(request: FastifyRequest, reply: FastifyReply): AnsweredCall {
  // For an unknown address Fastify has no route options at all, whatever its types say.
  const options = request.routeOptions as { url?: string } | undefined;
  const known = options?.url !== undefined && !options.url.includes('*');
  return {
    method: METHODS.has(request.method) ? request.method : 'OTHER',
    route: known ? routeTemplate(options.url ?? '') : 'unknown',
    status: reply.raw.writableFinished ? reply.statusCode : HUNG_UP,
    milliseconds: reply.elapsedTime,
  };
}
