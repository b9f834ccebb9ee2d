import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { prefersCsv, TABLE, toCsv, type Table } from '../common/table';

/** Turns the rows of a table into CSV for those who ask for it; the next page's cursor travels in `X-Next-Cursor`. */
@Injectable()
export class TableInterceptor implements NestInterceptor {
  constructor(private readonly reflector: Reflector) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const table = this.reflector.get<Table | undefined>(TABLE, context.getHandler());
    if (!table) return next.handle();
    const reply = context.switchToHttp().getResponse<FastifyReply>();
    const varies = reply.getHeader('vary');
    reply.header('vary', typeof varies === 'string' ? `${varies}, Accept` : 'Accept');
    if (!prefersCsv(context.switchToHttp().getRequest<FastifyRequest>().headers.accept)) return next.handle();
    return next.handle().pipe(
      map((payload: Payload) => {
        const cursor = payload.pagination?.nextCursor;
        if (typeof cursor === 'string') reply.header('x-next-cursor', cursor);
        reply.type('text/csv; charset=utf-8');
        return toCsv((payload[table.rows] ?? []) as readonly unknown[], table.columns);
      }),
    );
  }
}

type Payload = Record<string, unknown> & { pagination?: { nextCursor: string | null } };
