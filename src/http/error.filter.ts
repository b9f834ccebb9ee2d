import { Catch, HttpException, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../common/errors';
import { instanceOf, problemOf, PROBLEM_TYPE } from '../common/problem';
import { isDatabaseDown } from '../database/errors';
import { factsOf } from './context.hook';

/** Seconds after which a database that went away is worth another try. */
const DATABASE_RETRY_SECONDS = 5;

/** The one place where an error becomes an answer: a problem document in the caller's language. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  private readonly logger = new Logger('Errors');

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const error = toAppError(thrown);
    if (error.status >= 500) this.logger.error('Call failed', { code: error.code, err: thrown });
    if (!reply.sent && !reply.raw.headersSent) sendProblem(request, reply, error);
    // A stream that broke off: its status is long on the wire, so the line is cut for the caller to notice.
    else if (!reply.raw.writableEnded) reply.raw.destroy();
  }
}

/** Answers a call with a problem document. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: AppError): void {
  const { context } = factsOf(request, reply);
  const problem = problemOf(error, {
    language: context.language,
    requestId: context.requestId,
    instance: instanceOf(request.raw.url),
  });
  if (error.retryAfter !== undefined) reply.header('retry-after', String(error.retryAfter));
  if (error.code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer');
  void reply
    .code(error.status)
    .header('content-type', PROBLEM_TYPE)
    .header('content-language', context.language)
    .header('cache-control', 'no-store')
    .serializer((body: unknown) => JSON.stringify(body))
    .send(problem);
}

/** What a caller is told of whatever was thrown. */
function toAppError(thrown: unknown): AppError {
  if (thrown instanceof AppError) return thrown;
  if (isDatabaseDown(thrown)) return new AppError('SERVICE_UNAVAILABLE', { retryAfter: DATABASE_RETRY_SECONDS });
  const status = statusOf(thrown);
  switch (status) {
    case 404:
    case 405:
      return new AppError('ROUTE_NOT_FOUND');
    case 413:
      return new AppError('PAYLOAD_TOO_LARGE', { params: { limit: '1 MB' } });
    case 415:
      return new AppError('UNSUPPORTED_MEDIA_TYPE');
    case 429:
      return new AppError('RATE_LIMITED', { retryAfter: 1 });
    case 503:
      return new AppError('SERVICE_UNAVAILABLE', { retryAfter: DATABASE_RETRY_SECONDS });
    default:
      return status !== undefined && status >= 400 && status < 500
        ? new AppError('VALIDATION_FAILED', { errors: [{ field: 'request', key: 'malformed' }] })
        : new AppError('INTERNAL');
  }
}

function statusOf(thrown: unknown): number | undefined {
  if (thrown instanceof HttpException) return thrown.getStatus();
  // Fastify's own refusals, e.g. of a target that does not decode.
  const known = thrown as { code?: unknown; statusCode?: unknown } | null | undefined;
  const isFastify = typeof known?.code === 'string' && known.code.startsWith('FST_');
  return isFastify && typeof known.statusCode === 'number' ? known.statusCode : undefined;
}
