import cors from '@fastify/cors';
import type { FastifyAdapter, NestFastifyApplication } from '@nestjs/platform-fastify';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Callers } from './auth/callers';
import { IdempotencyInterceptor } from './auth/idempotency.interceptor';
import { Clock } from './common/clock';
import { ENV, type Env } from './config/env';
import { acceptJsonOnly } from './http/body';
import { contextHook } from './http/context.hook';
import { OpenCalls } from './http/open-calls';
import { secureHeadersHook } from './http/secure-headers';
import { preflightHook, securityHook } from './http/security.hooks';

/**
 * Puts the edge before the routes, in the order in which a call is checked: context, headers, caller, origin and
 * https, then the body. `main.ts` and the tests call the same.
 */
export async function configure(app: NestFastifyApplication): Promise<void> {
  const env = app.get<Env>(ENV);
  const adapter = app.getHttpAdapter() as unknown as FastifyAdapter;
  const server = adapter.getInstance();
  const calls = app.get(OpenCalls);
  const open = contextHook(app.get(Clock), env.requestDeadlineMs);

  adapter.setOnRequestHook((request: FastifyRequest, reply: FastifyReply, done: () => void) => {
    calls.opened(request, reply);
    open(request, reply, done);
  });
  server.addHook('onRequest', await secureHeadersHook(env));
  server.addHook('onRequest', preflightHook(env));
  await app.register(cors, {
    origin: [...env.allowedOrigins],
    methods: ['GET', 'POST', 'PATCH', 'PUT', 'DELETE'],
    allowedHeaders: [
      'Authorization',
      'Content-Type',
      'Accept-Language',
      'Idempotency-Key',
      'Last-Event-ID',
      'X-User-Id',
      'X-Request-Id',
    ],
    exposedHeaders: ['X-Request-Id', 'Retry-After', 'Idempotency-Replayed', 'X-Next-Cursor'],
    maxAge: 600,
    strictPreflight: false,
  });
  server.addHook('onRequest', app.get(Callers).hook);
  server.addHook('onRequest', securityHook(env));
  acceptJsonOnly(server);
  server.addHook('onSend', app.get(IdempotencyInterceptor).onSend);
  server.addHook('onSend', calls.onSend);
}
