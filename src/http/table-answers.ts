import { Injectable, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { prefersCsv, TABLE, toCsv, type Table } from '../common/table';

type Payload = Record<string, unknown> & { pagination?: { nextCursor: string | null } };

/** Turns the rows of a table into CSV for those who ask for it; the next page's cursor travels in `X-Next-Cursor`. */
@Injectable()
export class TableAnswers {
  constructor(private readonly reflector: Reflector) {}

  /** What makes CSV of the handler's payload; undefined where the answer is no table or is wanted as JSON. */
  of(
    context: ExecutionContext,
    request: FastifyRequest,
    reply: FastifyReply,
  ): ((payload: Payload) => string) | undefined {
    const table = this.reflector.get<Table | undefined>(TABLE, context.getHandler());
    if (!table) return undefined;
    const varies = reply.getHeader('vary');
    reply.header('vary', typeof varies === 'string' ? `${varies}, Accept` : 'Accept');
    if (!prefersCsv(request.headers.accept)) return undefined;
    return (payload) => {
      const cursor = payload.pagination?.nextCursor;
      if (typeof cursor === 'string') reply.header('x-next-cursor', cursor);
      reply.type('text/csv; charset=utf-8');
      return toCsv((payload[table.rows] ?? []) as readonly unknown[], table.columns);
    };
  }
}
