import { ValidateBy, ValidateIf, ValidateNested } from 'class-validator';
import { emailFault, instantFault, jsonFault, type Fault, type JsonLimits } from './formats';
import { registerField } from './input-classes';
import type { FaultKey } from './messages';
import { holdsPrivateKey } from './secret-shapes';

/**
 * One rule about one property. The fault travels in class-validator's message as JSON and is put into the
 * caller's language by the error filter. An absent value is `required` unless the property is `@Optional()`.
 */
function rule(name: string, check: (value: unknown) => Fault | null): PropertyDecorator {
  const judge = (value: unknown): Fault | null => (value === undefined ? { key: 'required' } : check(value));
  return ValidateBy({
    name,
    validator: {
      validate: (value: unknown) => judge(value) === null,
      defaultMessage: (args) => JSON.stringify(judge(args?.value)),
    },
  });
}

function all(...decorators: PropertyDecorator[]): PropertyDecorator {
  return (target, key) => decorators.forEach((decorator) => decorator(target, key));
}

/** May be left out. `null` is still refused: see `Nullable`. */
export function Optional(): PropertyDecorator {
  return ValidateIf((_, value) => value !== undefined);
}

/** May be `null`. */
export function Nullable(): PropertyDecorator {
  return ValidateIf((_, value) => value !== null);
}

function textFault(value: unknown, min: number, max: number): Fault | null {
  if (typeof value !== 'string') return { key: 'notText' };
  if (value.length < min) return min === 1 || value === '' ? { key: 'empty' } : { key: 'tooShort', params: { min } };
  return value.length > max ? { key: 'tooLong', params: { max } } : null;
}

function matching(name: string, pattern: RegExp, key: FaultKey): PropertyDecorator {
  return rule(name, (value) => {
    if (typeof value !== 'string') return { key: 'notText' };
    return pattern.test(value) ? null : { key };
  });
}

/** A text of `min` (default 1) to `max` (default 1,000) UTF-16 units. */
export function Text(limits: { min?: number; max?: number } = {}): PropertyDecorator {
  const { min = 1, max = 1000 } = limits;
  return rule('text', (value) => textFault(value, min, max));
}

/** A name for people, shown again: as `Text`, and not a private key that was pasted into the wrong box. */
export function Label(limits: { max: number }): PropertyDecorator {
  return rule('label', (value) => {
    const fault = textFault(value, 1, limits.max);
    return fault ?? (holdsPrivateKey(String(value)) ? { key: 'holdsSecret' } : null);
  });
}

/** An e-mail address as Klaviyo takes them: apostrophe, plus and unicode included; 254 characters at most. */
export function Email(): PropertyDecorator {
  return rule('email', (value) => emailFault(value));
}

/** An E.164 number: `+`, then 7 to 15 digits without a leading zero. */
export function Phone(): PropertyDecorator {
  return matching('phone', /^\+[1-9]\d{6,14}$/, 'notPhone');
}

/** An id of Klaviyo's: letters, digits, `_` and `-`, 1 to 64 characters. */
export function KlaviyoId(): PropertyDecorator {
  return matching('klaviyoId', /^[A-Za-z0-9_-]{1,64}$/, 'notKlaviyoId');
}

/** An id of ours. */
export function Uuid(): PropertyDecorator {
  return matching('uuid', /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i, 'notUuid');
}

/** A Klaviyo private key: `pk_` and 8 to 100 letters, digits or `_`. Klaviyo decides the rest. */
export function PrivateKey(): PropertyDecorator {
  return matching('privateKey', /^pk_[A-Za-z0-9_]{8,100}$/, 'notPrivateKey');
}

/** A Klaviyo public key (site id): 6 to 32 letters or digits. */
export function PublicKey(): PropertyDecorator {
  return matching('publicKey', /^[A-Za-z0-9]{6,32}$/, 'notPublicKey');
}

/** A currency in capitals that this runtime's ISO 4217 table knows. */
export function Currency(): PropertyDecorator {
  return rule('currency', (value) => {
    if (typeof value !== 'string') return { key: 'notText' };
    return CURRENCIES.has(value) ? null : { key: 'notCurrency' };
  });
}

const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));

/** An RFC 3339 instant with its offset, of a day that exists. Kept as the caller wrote it. */
export function Instant(): PropertyDecorator {
  return rule('instant', instantFault);
}

function numberFault(value: unknown, integer: boolean, min: number, max: number): Fault | null {
  if (typeof value !== 'number') return { key: integer ? 'notInteger' : 'notNumber' };
  if (integer && !Number.isSafeInteger(value)) return { key: 'notInteger' };
  if (!Number.isFinite(value)) return { key: 'notNumber' };
  if (value < min) return { key: 'tooSmall', params: { min } };
  return value > max ? { key: 'tooLarge', params: { max } } : null;
}

export interface NumberLimits {
  min?: number;
  max?: number;
}

/** An integer of a body (a digit string is not one). */
export function Int(limits: NumberLimits = {}): PropertyDecorator {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = limits;
  return rule('int', (value) => numberFault(value, true, min, max));
}

/** A finite number of a body. */
export function Num(limits: NumberLimits = {}): PropertyDecorator {
  const { min = -Number.MAX_VALUE, max = Number.MAX_VALUE } = limits;
  return rule('num', (value) => numberFault(value, false, min, max));
}

/** `true` or `false` of a body. */
export function Bool(): PropertyDecorator {
  return rule('bool', (value) => (typeof value === 'boolean' ? null : { key: 'notBoolean' }));
}

/** An integer of a query, in digits; the property is a number. */
export function QueryInt(limits: NumberLimits = {}): PropertyDecorator {
  const convert = (value: unknown) => (typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value);
  return all((target, key) => registerField(target, key, { convert }), Int(limits));
}

/** `true` or `false` of a query, and nothing else; the property is a boolean. */
export function QueryBool(): PropertyDecorator {
  const convert = (value: unknown) => (value === 'true' ? true : value === 'false' ? false : value);
  return all((target, key) => registerField(target, key, { convert }), Bool());
}

/** One of these texts. */
export function OneOf(values: readonly string[]): PropertyDecorator {
  return rule('oneOf', (value) => {
    if (typeof value !== 'string') return { key: 'notText' };
    return values.includes(value) ? null : notOneOf(values);
  });
}

/** Exactly this value, e.g. `consent.email: true`. */
export function Exactly(expected: string | number | boolean): PropertyDecorator {
  return rule('exactly', (value) => (value === expected ? null : notOneOf([String(expected)])));
}

function notOneOf(values: readonly string[]): Fault {
  return { key: 'notOneOf', params: { values: values.join(', ') } };
}

/** A comma-separated choice of a query; the property is an array without repetitions. */
export function CommaList(values: readonly string[]): PropertyDecorator {
  const convert = (value: unknown) =>
    typeof value === 'string' ? [...new Set(value.split(',').map((item) => item.trim()))] : value;
  return all(
    (target, key) => registerField(target, key, { convert }),
    rule('commaList', (value) => {
      if (!Array.isArray(value)) return { key: 'notText' };
      return value.every((item) => values.includes(item as string)) ? null : notOneOf(values);
    }),
  );
}

function arrayFault(value: unknown, min: number, max: number): Fault | null {
  if (!Array.isArray(value)) return { key: 'notArray' };
  if (value.length < min) return { key: 'tooFewItems', params: { min } };
  return value.length > max ? { key: 'tooManyItems', params: { max } } : null;
}

/** An array whose items are judged one by one later: a bad one does not refuse the rest. */
export function Items(limits: { min?: number; max: number }): PropertyDecorator {
  return rule('items', (value) => arrayFault(value, limits.min ?? 0, limits.max));
}

export interface StringArrayLimits {
  /** Items. */
  min?: number;
  max: number;
  /** Characters of one item; 255 when unsaid. */
  itemMax?: number;
  unique?: boolean;
  /** What each item must look like, and the fault when it does not. */
  pattern?: RegExp;
  fault?: FaultKey;
}

/** An array of texts. */
export function StringArray(limits: StringArrayLimits): PropertyDecorator {
  const { min = 0, max, itemMax = 255, unique = false, pattern, fault = 'malformed' } = limits;
  return rule('stringArray', (value) => {
    const bad = arrayFault(value, min, max);
    if (bad) return bad;
    const items = value as unknown[];
    for (const item of items) {
      const badItem = textFault(item, 1, itemMax);
      if (badItem) return badItem;
      if (pattern && !pattern.test(item as string)) return { key: fault };
    }
    return unique && new Set(items).size !== items.length ? { key: 'notUnique' } : null;
  });
}

/** An array of some of these texts, at least one and each once. */
export function SomeOf(values: readonly string[]): PropertyDecorator {
  return rule('someOf', (value) => {
    const bad = arrayFault(value, 1, values.length);
    if (bad) return bad;
    const items = value as unknown[];
    if (!items.every((item) => typeof item === 'string' && values.includes(item))) return notOneOf(values);
    return new Set(items).size === items.length ? null : { key: 'notUnique' };
  });
}

/** An array of Klaviyo's ids without repetitions. */
export function KlaviyoIds(limits: { min?: number; max: number }): PropertyDecorator {
  return StringArray({ ...limits, unique: true, pattern: /^[A-Za-z0-9_-]{1,64}$/, fault: 'notKlaviyoId' });
}

/** An object that is not ours to know (custom attributes, event data); reaches the handler exactly as sent. */
export function JsonObject(limits: JsonLimits = {}): PropertyDecorator {
  return rule('jsonObject', (value) => jsonFault(value, limits));
}

type ClassOf = new () => object;

/** An object of a request class of its own. */
export function Nested(type: () => ClassOf): PropertyDecorator {
  const isObject = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
  return all(
    (target, key) => registerField(target, key, { type }),
    rule('nested', (value) => (isObject(value) ? null : { key: 'notObject' })),
    ValidateNested(),
  );
}

/** An array of objects of a request class of their own; `max` stands before anything of it is looked at. */
export function ArrayOf(type: () => ClassOf, limits: { min?: number; max: number }): PropertyDecorator {
  const { min = 0, max } = limits;
  return all(
    (target, key) => registerField(target, key, { type, max }),
    rule('arrayOf', (value) => arrayFault(value, min, max)),
    ValidateNested({ each: true }),
  );
}
