import { invalidParameter } from './errors.ts';
import type { Condition, FilterFields } from './filter.ts';
import { parseFilter } from './filter.ts';
import { allAttributes, ATTRIBUTE_TYPES } from './fields.ts';

/** What the query of one operation may hold under one revision, as plain data. */
export interface QuerySpec {
  filter?: FilterFields;
  /** A condition without which the call is refused: campaigns must name a channel. */
  filterRequired?: string;
  sort?: readonly string[];
  include?: readonly string[];
  /** `size` absent: cursor only, `fixed` rows a page. */
  page?: { fixed: number; size?: { initial: number; max: number } };
  /** Types whose `fields[TYPE]` may be narrowed. */
  fields?: readonly string[];
  /** Attributes that only this operation's answers have, by type. */
  own?: Readonly<Record<string, readonly string[]>>;
  additional?: Readonly<Record<string, readonly string[]>>;
  /** Further parameters by name. */
  extra?: readonly string[];
}

export interface Query {
  fields: Map<string, Set<string>>;
  include: Set<string>;
  additional: Map<string, Set<string>>;
  conditions: Condition[];
  sort: { field: string; descending: boolean } | null;
  cursor: string | null;
  size: number;
  extra: Map<string, string>;
  /** As sent and decoded, for the links. */
  pairs: readonly (readonly [string, string])[];
}

/** Decodes a query string the way a form is decoded: `+` is a space. The last of a repeated parameter counts. */
export function decodePairs(search: string): [string, string][] {
  if (search === '') return [];
  const pairs: [string, string][] = [];
  for (const part of search.split('&')) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const [name, value] = at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
    pairs.push([decode(name), decode(value)]);
  }
  return pairs;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw invalidParameter('The query string is not valid percent-encoding.', 'query');
  }
}

/** Checks a query against what the operation takes; every refusal is a 400 with `source.parameter`. */
export function readQuery(search: string, spec: QuerySpec, revision: string): Query {
  const pairs = decodePairs(search);
  const query: Query = {
    fields: new Map(),
    include: new Set(),
    additional: new Map(),
    conditions: [],
    sort: null,
    cursor: null,
    size: spec.page?.size?.initial ?? spec.page?.fixed ?? 0,
    extra: new Map(),
    pairs,
  };
  for (const [name, value] of new Map(pairs)) readParameter(query, name, value, spec, revision);
  const required = spec.filterRequired;
  if (required !== undefined && !query.conditions.some((condition) => condition.field === required))
    throw invalidParameter(`A filter on '${required}' is required, e.g. equals(${required},'email').`, 'filter');
  return query;
}

function readParameter(query: Query, name: string, value: string, spec: QuerySpec, revision: string): void {
  const typed = /^(fields|additional-fields)\[([^\]]+)\]$/.exec(name);
  if (typed !== null) {
    readFields(query, typed[1] as string, typed[2] as string, value, spec, revision);
    return;
  }
  const unsupported = () => invalidParameter(`'${name}' is not a valid query parameter for this resource.`, name);
  switch (name) {
    case 'filter':
      if (spec.filter === undefined) throw unsupported();
      if (value !== '') query.conditions = parseFilter(value, spec.filter);
      return;
    case 'sort': {
      if (spec.sort === undefined) throw unsupported();
      const field = value.replace(/^-/, '');
      if (!spec.sort.includes(field))
        throw invalidParameter(`'${value}' is not an allowed sort field for this resource.`, 'sort');
      query.sort = { field, descending: value.startsWith('-') };
      return;
    }
    case 'include':
      for (const wanted of value.split(',')) {
        if (spec.include?.includes(wanted) !== true)
          throw invalidParameter(`'${wanted}' is not an allowed include parameter for this resource.`, 'include');
        query.include.add(wanted);
      }
      return;
    case 'page[cursor]':
      if (spec.page === undefined) throw unsupported();
      query.cursor = value === '' ? null : value;
      return;
    case 'page[size]': {
      const size = spec.page?.size;
      if (size === undefined) throw unsupported();
      if (!/^\d{1,6}$/.test(value) || Number(value) < 1 || Number(value) > size.max)
        throw invalidParameter(`Page size must be an integer between 1 and ${size.max}.`, 'page[size]');
      query.size = Number(value);
      return;
    }
    default:
      if (spec.extra?.includes(name) !== true) throw unsupported();
      query.extra.set(name, value);
  }
}

function readFields(query: Query, kind: string, type: string, value: string, spec: QuerySpec, revision: string): void {
  const parameter = `${kind}[${type}]`;
  const names = value === '' ? [] : value.split(',');
  if (kind === 'additional-fields') {
    const allowed = spec.additional?.[type];
    if (allowed === undefined)
      throw invalidParameter(`'${type}' is not a valid type for additional-fields here.`, parameter);
    for (const name of names)
      if (!allowed.includes(name))
        throw invalidParameter(`'${name}' is not a valid additional field for the resource '${type}'.`, parameter);
    query.additional.set(type, new Set(names));
    return;
  }
  if (spec.fields?.includes(type) !== true || !ATTRIBUTE_TYPES.includes(type))
    throw invalidParameter(`'${type}' is not a valid type for sparse fieldsets here.`, parameter);
  const known = allAttributes(type, revision, ownAttributes(spec, type));
  for (const name of names)
    if (!known(name)) throw invalidParameter(`'${name}' is not a valid field for the resource '${type}'.`, parameter);
  query.fields.set(type, new Set(names));
}

/** What an operation's answers have of a type beside its usual attributes. */
export function ownAttributes(spec: QuerySpec, type: string): readonly string[] {
  return [...(spec.additional?.[type] ?? []), ...(spec.own?.[type] ?? [])];
}
