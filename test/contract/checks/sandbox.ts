import type { Operation } from '../../sandbox/context.ts';
import { attributeNames } from '../../sandbox/fields.ts';
import { ownAttributes, type QuerySpec } from '../../sandbox/query.ts';
import { TIERS } from '../../sandbox/quota.ts';
import type { Schema } from '../../sandbox/schemas/dsl.ts';
import type { Raw, Shape } from '../openapi/schema';
import type { FileOperation, Specification } from '../openapi/specification';
import type { Difference } from './difference';

const TABLE = 'test/sandbox/operations';
const SCHEMAS = 'test/sandbox/schemas';

/** Where the sandbox knowingly takes any object: Klaviyo's grammar of conditions and of devices is not played. */
const UNPLAYED = [/\/condition_groups\/\*\/conditions\/\*$/, /\/device_metadata$/];

type Tell = (what: string, touch: string) => void;

/** Holds the sandbox's own tables and schemas against a file: what they take the file takes, and they know nothing more. */
export function sandboxDifferences(operations: readonly Operation[], specification: Specification): Difference[] {
  const { revision } = specification;
  return operations.flatMap((operation) => {
    const differences: Difference[] = [];
    const where = `${operation.method} ${operation.path} (the sandbox's ${operation.id})`;
    const tell: Tell = (what, touch) => differences.push({ revision, where, what, touch });
    const held = specification.operation(operation.method, operation.path);
    if (operation.since > revision) {
      if (held) tell(`the file has it already, the sandbox only since ${operation.since}`, TABLE);
    } else if (!held) tell('the file does not have it', TABLE);
    else {
      compareQuota(operation, held, revision, tell);
      compareQuery(operation.query(revision), held, specification, tell);
      compareBody(operation.body?.(revision), held, specification, tell);
    }
    return differences;
  });
}

function compareQuota(operation: Operation, held: FileOperation, revision: string, tell: Tell): void {
  const scopes = held.scopes.map((scope) => scope.replace(/^list:/, 'lists:')).toSorted();
  if (scopes.join() !== operation.scopes.toSorted().join())
    tell(`the scopes are ${scopes.join(' ')}, the sandbox asks for ${operation.scopes.join(' ')}`, TABLE);
  const limits: { burst: number; steady: number; daily?: number } = { ...TIERS[operation.tier(revision)] };
  if (operation.tier(revision) === 'L' && revision < '2026-01-15') limits.steady = 700;
  const { burst, steady, daily } = held.limits;
  if (burst !== limits.burst || steady !== limits.steady || daily !== limits.daily)
    tell(`the file allows ${[burst, steady, daily].join('/')}, the sandbox ${Object.values(limits).join('/')}`, TABLE);
}

function compareQuery(query: QuerySpec, held: FileOperation, specification: Specification, tell: Tell): void {
  const allowed = (name: string) => valuesOf(held, specification, name);
  const within = (name: string, ours: readonly string[]) => {
    const theirs = allowed(name);
    if (!theirs) {
      if (ours.length > 0) tell(`the file knows no query parameter ${name}, the sandbox does`, TABLE);
      return;
    }
    const more = ours.filter((value) => !theirs.includes(value));
    if (more.length > 0) tell(`${name} may not be ${more.join(', ')}, and the sandbox takes it`, TABLE);
  };
  within('include', query.include ?? []);
  within(
    'sort',
    (query.sort ?? []).flatMap((field) => [field, `-${field}`]),
  );
  for (const [type, names] of Object.entries(query.additional ?? {})) within(`additional-fields[${type}]`, names);
  for (const type of query.fields ?? []) {
    const theirs = allowed(`fields[${type}]`);
    if (!theirs) tell(`the file knows no fields[${type}], the sandbox does`, TABLE);
    else compareAttributes(type, theirs, query, specification.revision, tell);
  }
  for (const name of query.extra ?? [])
    if (!held.query.has(name)) tell(`the file knows no query parameter ${name}, the sandbox does`, TABLE);
  for (const [field, { operators }] of Object.entries(query.filter ?? {})) {
    const more = operators.filter((operator) => !held.filters.get(field)?.includes(operator));
    if (more.length > 0) tell(`the filter takes no ${more.join(', ')} of ${field}, the sandbox does`, TABLE);
  }
  comparePages(query, held, tell);
}

/** The sandbox's names of attributes that may be picked: none that the file does not list. */
function compareAttributes(
  type: string,
  theirs: readonly string[],
  query: QuerySpec,
  revision: string,
  tell: Tell,
): void {
  const ours = attributeNames(type, revision, ownAttributes(query, type));
  const more = [...ours].filter((name) => !theirs.includes(name));
  if (more.length > 0)
    tell(`fields[${type}] may not be ${more.join(', ')}, and the sandbox takes it`, 'test/sandbox/fields.ts');
}

function comparePages(query: QuerySpec, held: FileOperation, tell: Tell): void {
  const parameter = held.query.get('page[size]')?.schema;
  const ours = query.page?.size;
  if (query.page && !held.query.has('page[cursor]')) tell('the file knows no pages, the sandbox does', TABLE);
  if (ours?.max === parameter?.['maximum'] && ours?.initial === parameter?.['default']) return;
  const theirs = parameter ? `${String(parameter['default'])} up to ${String(parameter['maximum'])}` : 'no page[size]';
  tell(
    `the file has pages of ${theirs}, the sandbox ${ours ? `${ours.initial} up to ${ours.max}` : 'no page[size]'}`,
    TABLE,
  );
}

/** The values that a parameter may have; undefined where it is not known. */
function valuesOf(held: FileOperation, specification: Specification, name: string): readonly string[] | undefined {
  const parameter = held.query.get(name);
  if (!parameter) return undefined;
  const shape = specification.schemas.shape([parameter.schema]);
  const values = shape.items ? specification.schemas.shape(shape.items).values : shape.values;
  return (values ?? []) as string[];
}

function compareBody(ours: Schema | undefined, held: FileOperation, specification: Specification, tell: Tell): void {
  if (!ours || !held.body) {
    if (ours || held.body) tell(`${held.body ? 'the file' : 'the sandbox'} alone takes a body`, TABLE);
    return;
  }
  for (const what of excess(ours, held.body.schema, specification, '')) tell(what, SCHEMAS);
}

/** What a schema of the sandbox takes and the file refuses, in words; nothing where all that it takes is taken. */
export function excess(ours: Schema, theirs: readonly Raw[], specification: Specification, place: string): string[] {
  const { schemas } = specification;
  const shape = schemas.shape(theirs);
  if (ours.kind === 'either')
    return ours.options.flatMap((option) =>
      excess({ ...option, nullable: ours.nullable }, theirs, specification, place),
    );
  const [choice] = shape.choices;
  if (choice) {
    const tried = choice.map((branch) => excess({ ...ours, nullable: false }, branch, specification, place));
    return [...nullExcess(ours, shape, specification, place), ...shortest(tried)];
  }
  return [...nullExcess(ours, shape, specification, place), ...kindExcess(ours, shape, specification, place)];
}

function kindExcess(ours: Schema, shape: Shape, specification: Specification, place: string): string[] {
  const at = `in the body, ${place || 'the whole'}`;
  switch (ours.kind) {
    case 'string': {
      if (shape.type !== 'string') return [`${at} is ${shape.type ?? 'anything'}, the sandbox takes a string`];
      const more = ours.values?.filter((value) => shape.values?.includes(value) === false) ?? [];
      if (more.length > 0) return [`${at} may not be ${more.join(', ')}, and the sandbox takes it`];
      if (shape.values && !ours.values) return [`${at} is one of a few words, the sandbox takes any`];
      return shape.format?.startsWith('date') && !ours.format
        ? [`${at} is a ${shape.format}, the sandbox takes any text`]
        : [];
    }
    case 'number':
    case 'integer':
    case 'boolean':
      return shape.type === ours.kind || (shape.type === 'number' && ours.kind === 'integer')
        ? []
        : [`${at} is ${shape.type ?? 'anything'}, the sandbox takes a ${ours.kind}`];
    case 'free':
      return shape.properties === undefined || UNPLAYED.some((known) => known.test(place))
        ? []
        : [`${at} has fields of its own, the sandbox takes any`];
    case 'array':
      return shape.items === undefined
        ? [`${at} is ${shape.type ?? 'anything'}, the sandbox takes a list`]
        : excess(ours.items, shape.items, specification, `${place}/*`);
    case 'object':
      return objectExcess(ours, shape, specification, place);
    case 'either':
      return [];
  }
}

function objectExcess(
  ours: Schema & { kind: 'object' },
  shape: Shape,
  specification: Specification,
  place: string,
): string[] {
  if (shape.properties === undefined)
    return shape.type === 'object'
      ? []
      : [`in the body, ${place} is ${shape.type ?? 'anything'}, the sandbox takes an object`];
  const missing = [...shape.required].filter((name) => !ours.required.includes(name));
  return [
    ...missing.map((name) => `in the body, ${place}/${name} is demanded, and the sandbox does without`),
    ...Object.entries(ours.props).flatMap(([name, inner]) => {
      const known = shape.properties?.get(name);
      return known
        ? excess(inner, known, specification, `${place}/${name}`)
        : [`in the body, ${place}/${name} is unknown to the file, and the sandbox takes it`];
    }),
  ];
}

/** Files before 2024-02-15 declare no null at all; what they say nothing of is not held against the sandbox. */
function nullExcess(ours: Schema, shape: Shape, specification: Specification, place: string): string[] {
  if (ours.nullable !== true || shape.nullable || specification.revision < '2024-02-15') return [];
  return [`in the body, ${place} may not be null, and the sandbox takes it`];
}

function shortest(tried: readonly string[][]): string[] {
  return [...tried].sort((a, b) => a.length - b.length)[0] ?? [];
}
