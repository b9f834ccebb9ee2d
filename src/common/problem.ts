import type { AppError, ErrorCode } from './errors';
import { detailOf, faultText, titleOf, type Language } from './messages';
import { withoutSecrets } from './secret-shapes';

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** An RFC 9457 problem document `code` is for programs, `detail` for people. */
export interface ProblemDocument {
  success: false;
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  instance: string;
  requestId: string;
  errors?: { field: string; message: string }[];
  retryAfter?: number;
  [extra: string]: unknown;
}

/** Puts an error into words. Pure: what is not in its arguments is not in the document. */
export function problemOf(
  error: AppError,
  call: { language: Language; requestId: string; instance: string },
): ProblemDocument {
  const { code, retryAfter } = error;
  const params = { ...error.params, ...(retryAfter === undefined ? {} : { retryAfter }) };
  return {
    ...error.extra,
    success: false,
    type: `/docs/errors#${code}`,
    title: titleOf(code, call.language),
    status: error.status,
    detail: detailOf(code, call.language, params),
    code,
    instance: call.instance,
    requestId: call.requestId,
    ...(error.errors.length === 0
      ? {}
      : {
          errors: error.errors.map((fault) => ({
            field: fault.field,
            message: 'message' in fault ? fault.message : faultText(fault.key, call.language, fault.params),
          })),
        }),
    ...(retryAfter === undefined ? {} : { retryAfter }),
  };
}

/** The path of a request target, without its query, fragment or origin, or a key that somebody put there; bounded. */
export function instanceOf(target: string | undefined): string {
  const path = (target ?? '/').replace(/^https?:\/\/[^/?#]*/i, '').split(/[?#]/, 1)[0] ?? '';
  return path === '' ? '/' : withoutSecrets(path).slice(0, 500);
}
