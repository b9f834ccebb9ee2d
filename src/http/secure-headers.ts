import helmet from '@fastify/helmet';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Env } from '../config/env';

const ONE_YEAR_SECONDS = 31_536_000;
/** Of every answer, and none of helmet's. */
const OWN = new Set(['content-type', 'content-length', 'date', 'connection', 'keep-alive']);

/**
 * The hook that puts helmet's headers on every answer. They are always the same, yet helmet's plugin makes all of them
 * anew for each call, at more cost than everything else at the edge: here it is asked once.
 */
export async function secureHeadersHook(env: Pick<Env, 'strict'>) {
  const asked = new FastifyAdapter();
  const server = asked.getInstance();
  await server.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
    },
    strictTransportSecurity: env.strict ? { maxAge: ONE_YEAR_SECONDS, includeSubDomains: true } : false,
    referrerPolicy: { policy: 'no-referrer' },
  });
  const { headers } = await server.inject({ method: 'GET', url: '/' });
  await server.close();
  const secure = Object.entries(headers).filter(([name]) => !OWN.has(name));
  return (_request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    for (const [name, value] of secure) reply.header(name, value);
    done();
  };
}
