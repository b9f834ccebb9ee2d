import type { Raw } from '../openapi/schema';
import type { Specification } from '../openapi/specification';
import type { Difference } from './difference';

/** What no file describes and recorded answers of Klaviyo's have: the next page of a report. */
const RECORDED: Readonly<Record<string, readonly string[]>> = { campaignValuesReport: ['links.next'] };

/** The schemas that apply to what a path of reads leads to, through whatever branch; empty where it leads nowhere. */
export function placesOf(specification: Specification, schema: readonly Raw[], path: string): readonly Raw[][] {
  let places: readonly Raw[][] = [[...schema]];
  for (const step of path.split(/(\[\])|\./).filter((name): name is string => !!name)) {
    places = places.flatMap((parts) => stepInto(specification, parts, step));
    if (places.length === 0) return [];
  }
  return places;
}

/** What allows anything, whatever is read of it. */
const ANYTHING: Raw = {};

function stepInto(specification: Specification, parts: readonly Raw[], step: string): Raw[][] {
  const shape = specification.schemas.shape(parts);
  const chosen = shape.choices.flatMap((choice) => choice.flatMap((branch) => stepInto(specification, branch, step)));
  const undescribed = shape.properties === undefined && shape.choices.length === 0;
  if (step === '[]') {
    if (shape.items) return [[...shape.items], ...chosen];
    return undescribed && shape.type === undefined ? [[ANYTHING]] : chosen;
  }
  const own = shape.properties?.get(step);
  const free = undescribed && shape.type !== 'array';
  const scalar = shape.type !== undefined && shape.type !== 'object';
  if (own) return [[...own], ...chosen];
  return free && !scalar ? [[ANYTHING]] : chosen;
}

/** Reads of answers that no file has, each with the files of ours that call the operation. */
export function readDifferences(
  specifications: readonly Specification[],
  operation: { name: string; method: string; path: string },
  paths: Iterable<string>,
  touch: string,
): Difference[] {
  const where = `${operation.method} ${operation.path} (${operation.name})`;
  const revisions = specifications.map(({ revision }) => revision).join(', ');
  return [...paths]
    .filter((path) => !RECORDED[operation.name]?.includes(path))
    .filter((path) => !specifications.some((specification) => isKnown(specification, operation, path)))
    .map((path) => ({ revision: revisions, where, what: `no file has ${path} in the answer, which we read`, touch }));
}

/** Fields that we read and that a newer file has no more. */
export function vanished(
  known: Specification,
  newer: Specification,
  operation: { name: string; method: string; path: string },
  paths: Iterable<string>,
  touch: string,
): Difference[] {
  const where = `${operation.method} ${operation.path} (${operation.name})`;
  return [...paths]
    .filter((path) => isKnown(known, operation, path) && !isKnown(newer, operation, path))
    .map((path) => ({
      revision: newer.revision,
      where,
      what: `the answer has no ${path} any more, which we read`,
      touch,
    }));
}

function isKnown(specification: Specification, operation: { method: string; path: string }, path: string): boolean {
  const answers = [...(specification.operation(operation.method, operation.path)?.answers ?? [])];
  return answers.some(
    ([status, held]) => status.startsWith('2') && held && placesOf(specification, held.schema, path).length > 0,
  );
}
