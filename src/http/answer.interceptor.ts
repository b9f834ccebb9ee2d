import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';
import { isApiPath } from '../common/controller';

/** Puts `success: true` before the named payload of every answer of the API; streams, tables and texts pass as they are. */
@Injectable()
export class AnswerInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { routeOptions } = context.switchToHttp().getRequest<FastifyRequest>();
    if (!isApiPath(routeOptions.url ?? '')) return next.handle();
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
