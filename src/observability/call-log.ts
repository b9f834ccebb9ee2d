import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Level, Logger as Pino } from 'pino';
import { callOf } from '../common/call';
import { isApiPath } from '../common/controller';
import { runInContext } from '../common/request-context';
import { onAnswer, type AnsweredCall } from './http-hooks';

/** The injection token of the application's pino logger. */
export const PINO = Symbol('PINO');

const MAX_PATH = 300;

/** Writes one line a call when it is answered. It names what it tells one by one: no header, no query, no body. */
@Injectable()
export class CallLog implements OnModuleInit {
  constructor(
    @Inject(PINO) private readonly pino: Pino,
    private readonly host: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    onAnswer(this.host, (request, reply, call) => this.write(request, reply, call));
  }

  private write(request: FastifyRequest, reply: FastifyReply, call: AnsweredCall): void {
    const path = (request.url.split('?', 1)[0] ?? '').slice(0, MAX_PATH);
    const level = levelOf(path, call.status);
    if (!this.pino.isLevelEnabled(level)) return;
    const facts = callOf(request);
    const line = {
      context: 'Http',
      // Refused before its context was opened: the answer's own id is all there is.
      ...(facts ? {} : { requestId: reply.getHeader('x-request-id') }),
      ...(facts?.caller ? { caller: facts.caller.name } : {}),
      method: request.method,
      route: call.route,
      path,
      status: call.status,
      ms: Math.round(call.milliseconds * 10) / 10,
    };
    const write = () => this.pino[level](line, `${call.method} ${call.route} ${call.status}`);
    if (facts) runInContext(facts.context, write);
    else write();
  }
}

/** Probes and scrapes come every few seconds and tell nothing while they go well. */
function levelOf(path: string, status: number): Level {
  if (status >= 500) return 'warn';
  return isApiPath(path) || status >= 400 ? 'info' : 'debug';
}
