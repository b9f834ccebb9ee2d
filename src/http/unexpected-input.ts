import { Injectable, type ExecutionContext } from '@nestjs/common';
import { ROUTE_ARGS_METADATA } from '@nestjs/common/constants.js';
import type { FastifyRequest } from 'fastify';
import { AppError, type FieldFault } from '../common/errors';
import { rulesOf } from '../common/route-rules';

/** Nest's own numbers for `@Body` and `@Query` in the metadata of a handler's arguments. */
const BODY = '3';
const QUERY = '4';

/** What a handler reads of body and query: everything (a request class judges it), or single names. */
interface Reads {
  body: 'all' | ReadonlySet<string>;
  query: 'all' | ReadonlySet<string>;
}

/** Refuses fields and parameters that no argument of the handler reads: `userId` alone needs no declaring. */
@Injectable()
export class UnexpectedInput {
  private readonly known = new Map<unknown, Reads>();

  /** @throws AppError VALIDATION_FAILED naming each of them */
  check(context: ExecutionContext, request: FastifyRequest): void {
    if (rulesOf(request).open === true) return;
    const reads = this.readsOf(context);
    const errors = [...unexpected(request.body, reads.body), ...unexpected(request.query, reads.query)];
    if (errors.length > 0) throw new AppError('VALIDATION_FAILED', { errors });
  }

  private readsOf(context: ExecutionContext): Reads {
    const handler = context.getHandler();
    let reads = this.known.get(handler);
    if (!reads) {
      const args: unknown = Reflect.getMetadata(ROUTE_ARGS_METADATA, context.getClass(), handler.name);
      reads = { body: readBy((args ?? {}) as Arguments, BODY), query: readBy((args ?? {}) as Arguments, QUERY) };
      this.known.set(handler, reads);
    }
    return reads;
  }
}

type Arguments = Record<string, { data?: unknown }>;

function readBy(args: Arguments, kind: string): 'all' | ReadonlySet<string> {
  const names = new Set(['userId']);
  for (const [key, { data }] of Object.entries(args)) {
    if (key.split(':', 1)[0] !== kind) continue;
    if (typeof data !== 'string') return 'all';
    names.add(data);
  }
  return names;
}

function unexpected(given: unknown, reads: 'all' | ReadonlySet<string>): FieldFault[] {
  if (reads === 'all' || typeof given !== 'object' || given === null) return [];
  return Object.keys(given)
    .filter((field) => !reads.has(field))
    .slice(0, 100)
    .map((field) => ({ field, key: 'unknownField' }));
}
