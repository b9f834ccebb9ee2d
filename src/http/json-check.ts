import { invalid } from '../common/errors';

/** Levels that any body of the API can need, with room. */
const MAX_LEVELS = 32;

/**
 * One pass over a parsed body before anything else touches it: not too deep, no key that could change a prototype,
 * no text that PostgreSQL cannot store (NUL, half a surrogate pair), no number that was too large to be read (it would
 * leave us as null).
 * @throws AppError VALIDATION_FAILED naming the path
 */
export function checkJson(body: object): void {
  check(body, '', 1);
}

function check(node: object, path: string, level: number): void {
  if (level > MAX_LEVELS) throw invalid(top(path), 'tooDeep', { max: MAX_LEVELS });
  const isArray = Array.isArray(node);
  for (const [key, value] of Object.entries(node) as [string, unknown][]) {
    const at = isArray ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`;
    if (!isArray) checkKey(key, value, path, at);
    if (isUnstorable(value)) throw invalid(at, 'malformed');
    if (typeof value === 'object' && value !== null) check(value, at, level + 1);
  }
}

/** NUL, and surrogates that stand alone. */
const UNSTORABLE = /[\0\p{Cs}]/u;

function isUnstorable(value: unknown): boolean {
  return typeof value === 'string' ? UNSTORABLE.test(value) : typeof value === 'number' && !Number.isFinite(value);
}

function checkKey(key: string, value: unknown, path: string, at: string): void {
  const poisons =
    key === '__proto__' ||
    (key === 'constructor' && typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype'));
  if (poisons) throw invalid(at, 'forbiddenKey', { key });
  if (UNSTORABLE.test(key)) throw invalid(path === '' ? 'body' : path, 'malformed');
}

/** The first step of a path: the whole of one that is too deep helps nobody. */
function top(path: string): string {
  return /^[^.[]+/.exec(path)?.[0] ?? 'body';
}
