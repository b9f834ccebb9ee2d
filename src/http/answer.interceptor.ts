import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { isApiPath } from '../common/controller';
import { TableAnswers } from './table-answers';
import { UnexpectedInput } from './unexpected-input';

/**
 * What stands around every handler: fields that nobody reads are refused before it; after it, `success: true` comes
 * before the named payload of the API's answers (streams, tables and texts pass as they are). One interceptor for all
 * of it: each that Nest chains costs a call several promises and observables.
 */
@Injectable()
export class AnswerInterceptor implements NestInterceptor {
  constructor(
    private readonly input: UnexpectedInput,
    private readonly tables: TableAnswers,
  ) {}

  /** @throws AppError VALIDATION_FAILED naming what no argument of the handler reads */
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    this.input.check(context, request);
    const toTable = this.tables.of(context, request, http.getResponse<FastifyReply>());
    if (toTable) return next.handle().pipe(map(toTable));
    if (!isApiPath(request.routeOptions.url ?? '')) return next.handle();
    return next
      .handle()
      .pipe(map((payload: unknown) => (isPayload(payload) ? { success: true, ...payload } : payload)));
  }
}

/** A plain object or an instance of a response class; not a stream, a buffer or a StreamableFile. */
function isPayload(value: unknown): value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return !Buffer.isBuffer(value) && !('pipe' in value) && !('getStream' in value);
}
