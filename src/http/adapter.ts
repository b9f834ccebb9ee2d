import { STATUS_CODES, type IncomingHttpHeaders } from 'node:http';
import type { Socket } from 'node:net';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { v7 as uuidv7 } from 'uuid';
import { AppError, invalid } from '../common/errors';
import { problemOf, PROBLEM_TYPE } from '../common/problem';
import type { Env } from '../config/env';
import { requestIdOf } from './context.hook';
import { sendProblem } from './error.filter';

/** A client that sends its head or body slower than this holds a socket for nothing. */
const HEAD_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const TIMEOUT_CHECK_MS = 2_000;
/** Longer than a load balancer's own, so that it and not we closes an idle connection. */
const KEEP_ALIVE_MS = 72_000;
const MAX_ID_CHARACTERS = 200;

/** Fastify as this service runs it: bounded clients, our request ids, our answers to what never becomes a request. */
export function createAdapter(env: Env): FastifyAdapter {
  return new FastifyAdapter({
    logger: false,
    genReqId: (request: { headers: IncomingHttpHeaders }) => requestIdOf(request.headers),
    requestIdHeader: false,
    trustProxy: trustedProxies(env.trustProxy),
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { headersTimeout: HEAD_TIMEOUT_MS, connectionsCheckingInterval: TIMEOUT_CHECK_MS },
    // Idle connections close with the server; those at work are the drain's business.
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_ID_CHARACTERS },
    clientErrorHandler: refuseClient,
    frameworkErrors: (_error: unknown, request: unknown, reply: unknown) =>
      sendProblem(request as FastifyRequest, reply as FastifyReply, invalid('request', 'malformed')),
  });
}

/** A number counts the proxies before us: the address that the outermost of them saw is the caller's. */
function trustedProxies(setting: Env['trustProxy']): boolean | string[] | ((address: string, hop: number) => boolean) {
  if (typeof setting === 'number') return (_address, hop) => hop < setting;
  return typeof setting === 'boolean' ? setting : [...setting];
}

/** What Node could not read as HTTP: no request exists, so the answer is written by hand. */
function refuseClient(this: unknown, error: NodeJS.ErrnoException, socket: Socket): void {
  // After an answer nobody waits for a second one: it would be taken for the answer to the next request.
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const refusal =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new AppError('PAYLOAD_TOO_LARGE', { params: { limit: '16 KB' } })
      : invalid('request', 'malformed');
  const requestId = uuidv7();
  const body = JSON.stringify(problemOf(refusal, { language: 'fr', requestId, instance: '/' }));
  socket.end(
    [
      `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status] ?? 'Error'}`,
      `Content-Type: ${PROBLEM_TYPE}`,
      'Content-Language: fr',
      `X-Request-Id: ${requestId}`,
      'Cache-Control: no-store',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  );
}
