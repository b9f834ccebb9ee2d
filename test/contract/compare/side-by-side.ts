import type { Operation } from '../../../src/klaviyo/operations';
import type { Raw } from '../openapi/schema';
import type { FileOperation, Specification } from '../openapi/specification';
import { fieldsOf, type Field, type Fields } from './fields';

/** Older files declare no null anywhere, though what they describe may be null. */
const NULLS_SAID_SINCE = '2024-02-15';

/** What changed of one operation; nothing where nothing did. */
export interface Change {
  operation: Operation;
  lines: readonly string[];
}

/** Two revisions side by side, for the operations that the service uses. */
export function sideBySide(operations: readonly Operation[], from: Specification, to: Specification): Change[] {
  return operations.map((operation) => {
    const before = from.operation(operation.method, operation.path);
    const after = to.operation(operation.method, operation.path);
    if (!before && !after) return { operation, lines: ['in neither revision'] };
    if (!before) return { operation, lines: [`not in ${from.revision}, in ${to.revision}`] };
    if (!after) return { operation, lines: [`gone in ${to.revision}`] };
    return { operation, lines: linesOf(before, after, from, to) };
  });
}

function linesOf(before: FileOperation, after: FileOperation, from: Specification, to: Specification): string[] {
  return [
    ...changed('path', before.path, after.path),
    ...changed('scopes', before.scopes.join(' '), after.scopes.join(' ')),
    ...changed('limits', limits(before), limits(after)),
    ...changed('second budgets', budgets(before), budgets(after)),
    ...changed('largest page', pages(before), pages(after)),
    ...queryLines(before, after, from, to),
    ...fieldLines('body', before.body?.schema, after.body?.schema, from, to),
    ...answerLines(before, after, from, to),
  ];
}

function queryLines(before: FileOperation, after: FileOperation, from: Specification, to: Specification): string[] {
  const names = [...new Set([...before.query.keys(), ...after.query.keys()])].sort();
  const parameters = names.flatMap((name) => {
    const [old, now] = [before.query.get(name), after.query.get(name)];
    if (!old) return [`query ${name}: new${now?.required === true ? ', required' : ''}`];
    if (!now) return [`query ${name}: gone`];
    return [
      ...changed(`query ${name}`, old.required ? 'required' : 'optional', now.required ? 'required' : 'optional'),
      ...words(`query ${name}`, values(from, old.schema), values(to, now.schema)),
    ];
  });
  const filters = words('filter', filterWords(before), filterWords(after));
  return [...parameters, ...filters];
}

function answerLines(before: FileOperation, after: FileOperation, from: Specification, to: Specification): string[] {
  const success = (operation: FileOperation) =>
    [...operation.answers.keys()].filter((status) => status.startsWith('2'));
  const statuses = [...new Set([...success(before), ...success(after)])].sort();
  return statuses.flatMap((status) => {
    const [old, now] = [before.answers.get(status), after.answers.get(status)];
    if (old === undefined) return [`answer ${status}: new`];
    if (now === undefined) return [`answer ${status}: gone`];
    return fieldLines(`answer ${status}`, old?.schema, now?.schema, from, to);
  });
}

function fieldLines(
  what: string,
  before: readonly Raw[] | undefined,
  after: readonly Raw[] | undefined,
  from: Specification,
  to: Specification,
): string[] {
  if (!before && !after) return [];
  if (!before || !after) return [`${what}: ${before ? 'none any more' : 'has a body now'}`];
  const [old, now] = [fieldsOf(from, before), fieldsOf(to, after)];
  const both = [...old.keys()].filter((path) => now.has(path));
  return [
    ...topmost(now, old).map((path) => `${what}: ${path} new${now.get(path)?.required === true ? ', required' : ''}`),
    ...topmost(old, now).map((path) => `${what}: ${path} gone`),
    ...both.flatMap((path) => [
      ...changed(`${what}: ${path}`, need(old, path), need(now, path)),
      ...typeLines(`${what}: ${path}`, old.get(path), now.get(path)),
      ...(from.revision < NULLS_SAID_SINCE ? [] : nullLines(`${what}: ${path}`, old.get(path), now.get(path))),
      ...words(`${what}: ${path}`, old.get(path)?.values, now.get(path)?.values),
    ]),
  ];
}

function typeLines(what: string, before: Field | undefined, after: Field | undefined): string[] {
  if (before?.type === undefined || after?.type === undefined) return [];
  return changed(what, before.type, after.type);
}

function nullLines(what: string, before: Field | undefined, after: Field | undefined): string[] {
  if (before?.nullable === after?.nullable) return [];
  return [`${what}: ${after?.nullable === true ? 'may be null now' : 'never null any more'}`];
}

/** Paths that only the one has, without what lies under such a path. */
function topmost(those: Fields, others: Fields): string[] {
  const alone = [...those.keys()].filter((path) => !others.has(path));
  return alone.filter((path) => !alone.some((above) => path.startsWith(`${above}.`) || path.startsWith(`${above}[`)));
}

function words(what: string, before: readonly string[] | undefined, after: readonly string[] | undefined): string[] {
  if (!before && !after) return [];
  if (!before || !after) return [`${what}: ${before ? 'any text' : 'a closed list of words'} now`];
  const added = after.filter((word) => !before.includes(word));
  const gone = before.filter((word) => !after.includes(word));
  return [
    ...(added.length > 0 ? [`${what}: takes ${added.join(', ')} too`] : []),
    ...(gone.length > 0 ? [`${what}: no more ${gone.join(', ')}`] : []),
  ];
}

function changed(what: string, before: string, after: string): string[] {
  return before === after ? [] : [`${what}: ${before} → ${after}`];
}

function need(fields: Fields, path: string): string {
  return fields.get(path)?.required === true ? 'required' : 'optional';
}

function values({ schemas }: Specification, schema: Raw): readonly string[] | undefined {
  const shape = schemas.shape([schema]);
  return (shape.items ? schemas.shape(shape.items) : shape).values?.map(String);
}

function filterWords({ filters }: FileOperation): string[] {
  return [...filters].flatMap(([field, operators]) => operators.map((operator) => `${operator}(${field})`));
}

function limits({ limits: { burst, steady, daily } }: FileOperation): string {
  return [`${burst ?? '?'}/s`, `${steady ?? '?'}/m`, ...(daily === undefined ? [] : [`${daily}/d`])].join(' ');
}

function budgets(operation: FileOperation): string {
  const known = operation.budgets.filter(({ query }) => operation.query.has(query));
  return (
    known.map(({ query, value, burst, steady }) => `${query}=${value} ${burst}/s ${steady}/m`).join(', ') || 'none'
  );
}

function pages({ query }: FileOperation): string {
  const most = query.get('page[size]')?.schema['maximum'];
  return typeof most === 'number' ? String(most) : 'not to be chosen';
}
