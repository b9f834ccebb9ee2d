/**
 * Klaviyo's filter expressions. Strings are quoted with `"` and `\` escaped, instants and numbers stand bare
 * (a quoted instant is refused). The whole expression is percent-encoded by the client, so `+` survives.
 */
export type FilterValue = string | number | boolean | Date;

export const equals = (field: string, value: FilterValue): string => operation('equals', field, literal(value));
export const greaterThan = (field: string, value: FilterValue): string =>
  operation('greater-than', field, literal(value));
export const greaterOrEqual = (field: string, value: FilterValue): string =>
  operation('greater-or-equal', field, literal(value));
export const lessThan = (field: string, value: FilterValue): string => operation('less-than', field, literal(value));
export const lessOrEqual = (field: string, value: FilterValue): string =>
  operation('less-or-equal', field, literal(value));
export const contains = (field: string, value: string): string => operation('contains', field, literal(value));
export const startsWith = (field: string, value: string): string => operation('starts-with', field, literal(value));

/** One of the values. Klaviyo documents no length; 100 is what this service keeps to. */
export const any = (field: string, values: readonly FilterValue[]): string => list('any', field, values);
/** The list operator of report filters. */
export const containsAny = (field: string, values: readonly FilterValue[]): string =>
  list('contains-any', field, values);

/** All of them. Klaviyo joins GET filters with a comma; there is no "or". Undefined parts are left out. */
export function and(...parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== '').join(',');
}

function list(operator: string, field: string, values: readonly FilterValue[]): string {
  if (values.length === 0) throw new RangeError(`${operator}(${field}) needs at least one value`);
  return operation(operator, field, `[${values.map(literal).join(',')}]`);
}

function operation(operator: string, field: string, value: string): string {
  if (!/^[\w.$-]+$/.test(field)) throw new RangeError('a filter field is a dotted name');
  return `${operator}(${field},${value})`;
}

function literal(value: FilterValue): string {
  if (value instanceof Date) return value.toISOString();
  if (typeof value === 'string') return `"${value.replace(/[\\"]/g, (character) => `\\${character}`)}"`;
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError('a filter number is finite');
  return String(value);
}
