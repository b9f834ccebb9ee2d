import { Injectable, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import { validateSync, type ValidationError } from 'class-validator';
import { AppError, type FieldFault } from './errors';
import type { Fault } from './formats';
import { holdsEveryRule } from './input-rules';
import { instantiate } from './input-classes';

const PLAIN = new Set<unknown>([String, Boolean, Number, Array, Object, Buffer, Date]);

/**
 * Turns a body, query or set of path parameters into its request class, or refuses it with every field that is
 * wrong at once. Strict: unknown fields are refused, nothing is converted that its rule does not convert.
 */
@Injectable()
export class InputPipe implements PipeTransform {
  transform(value: unknown, metadata: ArgumentMetadata): unknown {
    const { metatype, type } = metadata;
    if (type === 'custom' || !metatype || PLAIN.has(metatype)) return value;
    return validateInput(metatype as new () => object, value, type === 'query');
  }
}

/**
 * Makes and checks an instance of a request class. Also for the rows of bulk bodies, one by one.
 * @throws AppError VALIDATION_FAILED with every fault
 */
export function validateInput<T extends object>(type: new () => T, value: unknown, isQuery = false): T {
  const raw = value ?? {};
  if (typeof raw !== 'object' || Array.isArray(raw)) throw failed([{ field: 'body', key: 'notObject' }]);
  const faults: FieldFault[] = isQuery ? queryFaults(raw) : [];
  const unknown: string[] = [];
  const made = instantiate(type, raw, unknown);
  faults.push(...unknown.map((field) => ({ field, key: 'unknownField' as const })));
  if (faults.length === 0 && holdsEveryRule(type, made)) return made as T;
  const said = new Set(faults.map((fault) => fault.field));
  const errors = validateSync(made, {
    whitelist: true,
    forbidNonWhitelisted: true,
    stopAtFirstError: true,
    forbidUnknownValues: true,
    validationError: { target: false },
  });
  collect(errors, '', faults, said);
  if (faults.length > 0) throw failed(faults);
  return made as T;
}

/** A parameter given twice is an array; one with a NUL would reach the database and fail there. */
function queryFaults(query: object): FieldFault[] {
  const faults: FieldFault[] = [];
  for (const [field, value] of Object.entries(query) as [string, unknown][]) {
    if (Array.isArray(value) && field !== 'userId') faults.push({ field, key: 'givenTwice' });
    else if (typeof value === 'string' && value.includes('\0')) faults.push({ field, key: 'malformed' });
  }
  return faults;
}

function collect(errors: readonly ValidationError[], path: string, faults: FieldFault[], said: Set<string>): void {
  for (const error of errors) {
    const isIndex = /^\d+$/.test(error.property) && path !== '';
    const field = path === '' ? error.property : isIndex ? `${path}[${error.property}]` : `${path}.${error.property}`;
    const own = faultOf(error);
    if (own && !said.has(field)) faults.push({ field, ...own });
    else if (!own) collect(error.children ?? [], field, faults, said);
  }
}

/** The fault of a rule of ours, or what stands for one of class-validator's own; none when only children are wrong. */
function faultOf(error: ValidationError): Fault | null {
  const messages = Object.entries(error.constraints ?? {});
  for (const [, message] of messages) if (message.startsWith('{')) return JSON.parse(message) as Fault;
  const names = messages.map(([name]) => name);
  if (names.includes('whitelistValidation')) return { key: 'unknownField' };
  if (names.includes('nestedValidation') || names.includes('unknownValue')) return { key: 'notObject' };
  return names.length > 0 ? { key: 'malformed' } : null;
}

/** More faults than a person reads; the rest comes to light once these are corrected. */
const MAX_FAULTS = 100;

function failed(faults: readonly FieldFault[]): AppError {
  return new AppError('VALIDATION_FAILED', { errors: faults.slice(0, MAX_FAULTS) });
}
