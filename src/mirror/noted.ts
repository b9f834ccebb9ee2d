import type { Resource } from './resources';

/**
 * What a statement counted, for one behind it that is sent at the same time: PostgreSQL keeps it until the transaction ends.
 * @param resource a name of ours, or SQL that gives one
 */
export function noted(resource: string): string {
  return `coalesce(nullif(current_setting('mirror.' || ${resource}, true), ''), '0')::bigint`;
}

/** As a column of its answer. @param count SQL; it is added to what was noted of the resource before */
export function noting(resource: Resource, count: string): string {
  const name = `'${resource}'`;
  return `set_config('mirror.' || ${name}, (${noted(name)} + ${count})::text, true) AS noted`;
}
