import { parseInstant } from '../filter.ts';
import { isObject } from '../json.ts';
import type { Schema } from './dsl.ts';

/** One fault of a body, with the JSON pointer of the place. */
export interface Fault {
  detail: string;
  pointer: string;
}

/** Every fault of a value against a schema; unknown keys are faults, as at Klaviyo. */
export function faultsOf(schema: Schema, value: unknown, pointer = ''): Fault[] {
  if (value === null)
    return schema.nullable === true ? [] : [{ detail: `${nameOf(pointer)} may not be null.`, pointer }];
  switch (schema.kind) {
    case 'string':
      return stringFaults(schema, value, pointer);
    case 'number':
      return typeof value === 'number' ? [] : [wrong(pointer, 'a number')];
    case 'integer':
      return Number.isInteger(value) ? [] : [wrong(pointer, 'an integer')];
    case 'boolean':
      return typeof value === 'boolean' ? [] : [wrong(pointer, 'a boolean')];
    case 'free':
      return isObject(value) ? [] : [wrong(pointer, 'an object')];
    case 'array':
      if (!Array.isArray(value)) return [wrong(pointer, 'a list')];
      if (schema.max !== undefined && value.length > schema.max)
        return [{ detail: `${nameOf(pointer)} may hold at most ${schema.max} items.`, pointer }];
      return value.flatMap((item, index) => faultsOf(schema.items, item, `${pointer}/${index}`));
    case 'object':
      return objectFaults(schema, value, pointer);
    case 'either': {
      const tried = schema.options.map((option) => faultsOf(option, value, pointer));
      return tried.some((faults) => faults.length === 0) ? [] : closest(tried);
    }
  }
}

/** Of several refusals the one that goes deepest says the most. */
function closest(tried: Fault[][]): Fault[] {
  return (
    [...tried].sort((a, b) => (b[0]?.pointer.length ?? 0) - (a[0]?.pointer.length ?? 0) || a.length - b.length)[0] ?? []
  );
}

function stringFaults(schema: Schema & { kind: 'string' }, value: unknown, pointer: string): Fault[] {
  if (typeof value !== 'string') return [wrong(pointer, 'a string')];
  if (schema.values !== undefined && !schema.values.includes(value))
    return [
      {
        detail: `'${value.slice(0, 100)}' is not a valid value for ${nameOf(pointer)}. Valid values are ${schema.values.join(', ')}`,
        pointer,
      },
    ];
  if (schema.format !== undefined && Number.isNaN(parseInstant(value))) return [wrong(pointer, `a ${schema.format}`)];
  if (schema.max !== undefined && value.length > schema.max)
    return [{ detail: `${nameOf(pointer)} may not be longer than ${schema.max} characters.`, pointer }];
  if (schema.min !== undefined && value.length < schema.min)
    return [{ detail: `${nameOf(pointer)} must be at least ${schema.min} characters.`, pointer }];
  return [];
}

function objectFaults(schema: Schema & { kind: 'object' }, value: unknown, pointer: string): Fault[] {
  if (!isObject(value)) return [wrong(pointer, 'an object')];
  const faults: Fault[] = [];
  for (const key of schema.required)
    if (!Object.hasOwn(value, key))
      faults.push({ detail: `'${key}' is a required field.`, pointer: `${pointer}/${key}` });
  for (const [key, item] of Object.entries(value)) {
    const inner = Object.hasOwn(schema.props, key) ? schema.props[key] : undefined;
    if (inner === undefined) faults.push({ detail: `'${key}' is not a valid field.`, pointer: `${pointer}/${key}` });
    else faults.push(...faultsOf(inner, item, `${pointer}/${key}`));
  }
  return faults;
}

function wrong(pointer: string, what: string): Fault {
  return { detail: `${nameOf(pointer)} must be ${what}.`, pointer };
}

function nameOf(pointer: string): string {
  return `'${pointer.slice(pointer.lastIndexOf('/') + 1) || 'body'}'`;
}
