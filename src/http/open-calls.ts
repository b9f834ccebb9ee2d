import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Drain } from '../common/drain';
import { AppError } from '../common/errors';
import { sendProblem } from './error.filter';

/** Seconds after which another replica, or this one restarted, answers. */
const RETRY_SECONDS = 5;

/** Knows the calls that are not answered yet, so that a stop can wait for them and answer those that take too long. */
@Injectable()
export class OpenCalls {
  private readonly open = new Map<FastifyReply, FastifyRequest>();
  private idle: (() => void)[] = [];

  constructor(private readonly drain: Drain) {}

  get count(): number {
    return this.open.size;
  }

  opened(request: FastifyRequest, reply: FastifyReply): void {
    this.open.set(reply, request);
    // However it ends: answered, or the caller hung up.
    reply.raw.once('close', () => {
      this.open.delete(reply);
      if (this.open.size === 0) for (const done of this.idle.splice(0)) done();
    });
  }

  /** The hook on every answer: on the way out, no connection is kept for another call. */
  readonly onSend = (
    _request: FastifyRequest,
    reply: FastifyReply,
    payload: unknown,
    done: (error: null, payload: unknown) => void,
  ): void => {
    if (this.drain.draining) reply.header('connection', 'close');
    done(null, payload);
  };

  /** Resolves when no call is open, at the latest after `limitMs`. */
  async settled(limitMs: number): Promise<void> {
    if (this.open.size === 0) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.idle.push(resolve);
      timer = setTimeout(resolve, limitMs);
    });
    clearTimeout(timer);
  }

  /** Answers what is still open: 503 with `Retry-After`; streams, whose status is on the wire, end. */
  refuseRest(): void {
    for (const [reply, request] of this.open)
      if (reply.sent || reply.raw.headersSent) reply.raw.end();
      else sendProblem(request, reply, new AppError('SERVICE_UNAVAILABLE', { retryAfter: RETRY_SECONDS }));
  }
}
