import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isApiPath } from '../common/controller';
import { AppError } from '../common/errors';
import { instanceOf } from '../common/problem';
import { rulesOf } from '../common/route-rules';
import { cidrMatcher } from '../config/cidr';
import type { Env } from '../config/env';

/** Probes and scrapers come by plain http from inside. */
const PLAIN_HTTP = new Set(['/health/live', '/health/ready', '/metrics']);
const FORWARDED = /^(forwarded|x-forwarded-.+)$/;

/**
 * Lets through what a browser of an allowed origin asks before a call (it never carries a token); the CORS plugin
 * answers that. It would answer any other OPTIONS as well: those are refused like every unknown address.
 */
export function preflightHook(env: Env) {
  const allowed = new Set(env.allowedOrigins);
  return (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void => {
    done(request.method === 'OPTIONS' ? refusalOf(request.headers) : undefined);
  };

  function refusalOf(headers: IncomingHttpHeaders): AppError | undefined {
    const { origin, authorization } = headers;
    if (origin !== undefined && !allowed.has(origin)) return new AppError('ORIGIN_NOT_ALLOWED');
    if (origin !== undefined && headers['access-control-request-method'] !== undefined) return undefined;
    return new AppError(authorization === undefined ? 'UNAUTHENTICATED' : 'ROUTE_NOT_FOUND');
  }
}

/** After the caller is known: browsers' origins, then https, then whether the address exists in this role. */
export function securityHook(env: Env) {
  const allowed = new Set(env.allowedOrigins);
  const isInternal = cidrMatcher(env.internalCidrs);

  return (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void => {
    const path = instanceOf(request.raw.url);
    if (isApiPath(path)) reply.header('cache-control', 'no-store');
    done(refusalOf(request, path));
  };

  function refusalOf(request: FastifyRequest, path: string): AppError | undefined {
    const origin = request.headers.origin;
    if (origin !== undefined && !rulesOf(request).anyOrigin && !allowed.has(origin) && !isOwnHost(origin, request.host))
      return new AppError('ORIGIN_NOT_ALLOWED');
    if (env.requireHttps && request.protocol !== 'https' && !PLAIN_HTTP.has(path) && !isStraightFromInside(request))
      return new AppError('HTTPS_REQUIRED');
    if (request.is404 || (env.role === 'worker' && isApiPath(path)) || hasNul(request.params))
      return new AppError('ROUTE_NOT_FOUND');
    return undefined;
  }

  /** Crealia's internal http: the socket's own peer is inside, and no proxy stands between. */
  function isStraightFromInside(request: FastifyRequest): boolean {
    const peer = request.raw.socket.remoteAddress;
    return peer !== undefined && isInternal(peer) && !Object.keys(request.headers).some((name) => FORWARDED.test(name));
  }
}

function isOwnHost(origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false;
  const { host: originHost, protocol } = new URL(origin);
  return (
    originHost !== '' && URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === originHost
  );
}

/** No id of ours or Klaviyo's holds a NUL, and PostgreSQL refuses one. */
function hasNul(params: unknown): boolean {
  return Object.values(params ?? {}).some((value) => typeof value === 'string' && value.includes('\0'));
}
