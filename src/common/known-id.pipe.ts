import type { PipeTransform, Type } from '@nestjs/common';
import { AppError, type ErrorCode } from './errors';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** An id of ours in the path. One that cannot exist is simply not found, like any other unknown id. */
export function KnownId(code: ErrorCode): Type<PipeTransform<string, string>> {
  class KnownIdPipe implements PipeTransform<string, string> {
    transform(value: string): string {
      if (!UUID.test(value)) throw new AppError(code);
      return value.toLowerCase();
    }
  }
  return KnownIdPipe;
}
