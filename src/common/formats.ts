import type { FaultKey, MessageParams } from './messages';

/** Why a value is refused: a key of the message catalogue and what fills its sentence. */
export interface Fault {
  key: FaultKey;
  params?: MessageParams;
}

const MAX_EMAIL = 254;
/** One `@`; no space, quote, bracket or control on either side; dots only between characters. */
const EMAIL =
  /^[^\s@<>()[\]\\,;:"\p{C}.]+(\.[^\s@<>()[\]\\,;:"\p{C}.]+)*@(?!-)[\p{L}\p{M}\p{N}-]+(\.[\p{L}\p{M}\p{N}-]+)+$/u;

/** Whether a value is an e-mail address as Klaviyo takes them, and what is wrong with it. */
export function emailFault(value: unknown): Fault | null {
  if (typeof value !== 'string') return { key: 'notText' };
  if (value === '') return { key: 'empty' };
  if (value.length > MAX_EMAIL) return { key: 'tooLong', params: { max: MAX_EMAIL } };
  const local = value.slice(0, value.lastIndexOf('@'));
  return local.length <= 64 && EMAIL.test(value) ? null : { key: 'notEmail' };
}

const INSTANT = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(\.\d{1,9})?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** An RFC 3339 instant of a day and a time that exist. */
export function instantFault(value: unknown): Fault | null {
  const match = typeof value === 'string' ? INSTANT.exec(value) : null;
  if (!match) return { key: 'notInstant' };
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map(Number);
  const date = new Date(Date.UTC(year, month - 1, day));
  const dayExists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && year >= 1;
  return dayExists && hour < 24 && minute < 60 && second < 60 ? null : { key: 'notInstant' };
}

export interface JsonLimits {
  /** Keys of any one object; 400 when unsaid, which is what Klaviyo takes. */
  maxKeys?: number;
  /** Levels, the object itself being the first; 10 when unsaid, as Klaviyo has it for events. */
  maxDepth?: number;
}

/** An object of any content, bounded in keys and depth. */
export function jsonFault(value: unknown, limits: JsonLimits): Fault | null {
  const { maxKeys = 400, maxDepth = 10 } = limits;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { key: 'notObject' };
  const faultIn = (node: unknown, level: number): Fault | null => {
    if (typeof node !== 'object' || node === null) return null;
    if (level > maxDepth) return { key: 'tooDeep', params: { max: maxDepth } };
    const items = Object.values(node);
    if (!Array.isArray(node) && items.length > maxKeys) return { key: 'tooManyKeys', params: { max: maxKeys } };
    for (const item of items) {
      const fault = faultIn(item, level + 1);
      if (fault) return fault;
    }
    return null;
  };
  return faultIn(value, 1);
}
