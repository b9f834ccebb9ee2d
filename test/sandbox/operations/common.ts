import type { FilterField, Operator } from '../filter.ts';
import type { QuerySpec } from '../query.ts';
import type { Tier } from '../quota.ts';

/** Short forms for the tables of operations. */

export const FIRST = '2022-09-07';

export const always =
  <T>(value: T) =>
  (): T =>
    value;
/** Writes and questions may narrow their answer with `fields` under the newer revisions only. */
export function narrowed(...types: string[]): (revision: string) => QuerySpec {
  return (revision) => (revision >= '2026-01-15' ? { fields: types } : {});
}
export const tier = (name: Tier) => (): Tier => name;

export function texts(...operators: Operator[]): FilterField {
  return { type: 'string', operators };
}
export const ANY_EQUALS = texts('any', 'equals');
export const EQUALS = texts('equals');

/** A date field with some comparisons; all four when none is named. */
export function dates(...operators: Operator[]): FilterField {
  return {
    type: 'datetime',
    operators: operators.length > 0 ? operators : ['greater-or-equal', 'greater-than', 'less-or-equal', 'less-than'],
  };
}
