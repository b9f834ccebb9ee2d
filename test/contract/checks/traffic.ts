import { readFilter, type Condition } from '../openapi/filter';
import { isRaw, type Raw } from '../openapi/schema';
import type { FileOperation, Parameter, Specification } from '../openapi/specification';
import { faultsOf, type Fault } from '../openapi/validate';
import type { Exchange } from '../traffic/exchange';
import type { Difference } from './difference';

const SANDBOX = 'test/sandbox';

/**
 * Where recorded answers of Klaviyo's differ from every file: each error has these three, the last page says null, and
 * a report has an id and, in `links`, the way to its next page.
 */
const RECORDED: readonly { kind: Fault['kind']; place: RegExp; of?: RegExp; before?: string }[] = [
  { kind: 'unknown', place: /^\/errors\/\d+\/(status|links|meta)$/ },
  { kind: 'null', place: /^\/links\/(next|prev)$/ },
  { kind: 'unknown', place: /^\/(data\/id|links(\/(next|prev))?)$/, of: /\/campaign-values-reports$/ },
  // Pages of ids have links in newer files only, though they always took a cursor.
  { kind: 'unknown', place: /^\/links$/, of: /\/relationships\/profiles\/?$/, before: '2026-01-15' },
  // Old files declare no null at all, and promise the data of relationships that no answer was seen to carry.
  { kind: 'null', place: /./, before: '2024-02-15' },
  { kind: 'missing', place: /\/relationships\/[^/]+\/data$/, before: '2024-05-15' },
];
/** Until then files name `application/json`, and Klaviyo takes and sends the newer type under old revisions too. */
const JSON_API_SINCE = '2024-10-15';
const JSON_API = 'application/vnd.api+json';

type Tell = (what: string, touch: string) => void;

/** Checks what went over the line against the files. */
export class TrafficCheck {
  /**
   * @param specifications oldest first
   * @param callersOf the files of ours that build calls of an endpoint
   */
  constructor(
    private readonly specifications: readonly Specification[],
    private readonly callersOf: (method: string, path: string) => string,
  ) {}

  /** What is wrong with a call, by the file of the revision that answers it. */
  request(exchange: Exchange): Difference[] {
    return this.judged(exchange, (operation, specification, tell) => {
      const touch = this.callersOf(exchange.method, operation.path);
      for (const what of this.queryFaults(operation, specification, exchange.search)) tell(what, touch);
      for (const what of bodyFaults(operation, specification, exchange)) tell(what, touch);
    });
  }

  /** What is wrong with an answer of the sandbox's, by the file of the revision that it says it answers as. */
  answer(exchange: Exchange): Difference[] {
    // Between two files an answer is neither the one's nor the other's.
    if (!this.specifications.some(({ revision }) => revision === exchange.served)) return [];
    return this.judged(exchange, (operation, specification, tell) => {
      const { status, answer, answerType } = exchange;
      const group = status < 400 ? String(status) : status < 500 ? '4XX' : '5XX';
      const held = operation.answers.get(group);
      if (held === undefined) {
        tell(`the file has no answer ${group}, the sandbox gave one`, SANDBOX);
      } else if (held === null) {
        if (answer !== undefined) tell(`the answer ${group} has no body in the file, the sandbox's has one`, SANDBOX);
      } else if (answer === undefined) {
        tell(`the answer ${group} has a body in the file, the sandbox's has none`, SANDBOX);
      } else if (answer !== null) {
        const types = mediaTypes(held.mediaTypes, specification);
        if (!types.includes(mediaTypeOf(answerType)))
          tell(`the answer is ${types.join(' or ')}, the sandbox's ${answerType}`, SANDBOX);
        for (const { pointer, detail } of this.answerFaults(operation, specification, held.schema, exchange, group))
          tell(`in the sandbox's answer ${group}, ${placeOf(pointer)} ${detail}`, SANDBOX);
      }
    });
  }

  private queryFaults(operation: FileOperation, specification: Specification, search: string): string[] {
    const given = new URLSearchParams(search);
    const names = [...given.keys()];
    const faults = names
      .filter((name, index) => names.indexOf(name) !== index)
      .map((name) => `${name} is given twice, and Klaviyo takes one of them`);
    for (const { name, required } of operation.query.values())
      if (required && !given.has(name)) faults.push(`the query lacks ${name}`);
    for (const [name, value] of given) {
      const parameter = operation.query.get(name);
      if (!parameter) faults.push(`the file knows no query parameter ${name}`);
      else if (name === 'filter') faults.push(...this.filterFaults(operation, value));
      else faults.push(...valueFaults(specification, parameter, value));
    }
    return faults;
  }

  private filterFaults(operation: FileOperation, expression: string): string[] {
    const { filters, method, path } = operation;
    try {
      return readFilter(expression).flatMap((condition) => {
        const { field, operator } = condition;
        const operators = filters.get(field);
        if (!operators) return [`the filter asks for ${field}, the file allows ${[...filters.keys()].join(', ')}`];
        if (!operators.includes(operator))
          return [`the filter asks ${operator} of ${field}, the file allows ${operators.join(', ')}`];
        const telling = this.specifications.findLast((other) => other.operation(method, path)?.filterValues.has(field));
        const schema = telling?.operation(method, path)?.filterValues.get(field);
        return telling && schema ? filterValueFaults(telling, schema, condition) : [];
      });
    } catch (error) {
      return [`the filter cannot be read: ${error instanceof Error ? error.message : ''}`];
    }
  }

  private judged(
    exchange: Exchange,
    judge: (operation: FileOperation, specification: Specification, tell: Tell) => void,
  ): Difference[] {
    const { method, path, served } = exchange;
    return serving(this.specifications, served).flatMap((specification) => {
      const differences: Difference[] = [];
      const operation = specification.ofPath(method, path);
      const where = `${method} ${operation?.path ?? path}`;
      const tell: Tell = (what, touch) => differences.push({ revision: specification.revision, where, what, touch });
      if (operation) judge(operation, specification, tell);
      else tell('the file has no such method and path', this.callersOf(method, path));
      return differences;
    });
  }

  /** Nulls that an old file does not declare are none where a newer one does: old files name no null at all. */
  private answerFaults(
    operation: FileOperation,
    specification: Specification,
    schema: readonly Raw[],
    { answer, search }: Exchange,
    group: string,
  ): Fault[] {
    const narrowed = narrowedTypes(search);
    const faults = faultsOf(specification.schemas, schema, answer).filter(
      (fault) =>
        !RECORDED.some(
          ({ kind, place, of = /./, before = '9999' }) =>
            fault.kind === kind &&
            place.test(fault.pointer) &&
            of.test(operation.path) &&
            specification.revision < before,
        ) && !(fault.kind === 'missing' && isLeftOut(answer, fault.pointer, narrowed)),
    );
    if (!faults.some(({ kind }) => kind === 'null')) return faults;
    const newer = this.specifications.filter(({ revision }) => revision > specification.revision);
    const allowed = newer.flatMap((other) => {
      const held = other.operation(operation.method, operation.path)?.answers.get(group);
      return held ? [faultsOf(other.schemas, held.schema, answer).map(({ pointer }) => pointer)] : [];
    });
    return faults.filter(
      ({ kind, pointer }) =>
        kind !== 'null' || !allowed.some((wrong) => !wrong.some((place) => isWithin(pointer, place))),
    );
  }
}

/** Types of which the query asks for some fields only. */
function narrowedTypes(search: string): string[] {
  return [...new URLSearchParams(search).keys()].flatMap((name) => /^fields\[(.+)\]$/.exec(name)?.[1] ?? []);
}

/** Whether what is missing are attributes of a resource whose other fields were asked for. */
function isLeftOut(answer: unknown, pointer: string, narrowed: readonly string[]): boolean {
  const [, resource, inside] = /^(\/(?:data|included)(?:\/\d+)?)(\/attributes)?(\/.*)?$/.exec(pointer) ?? [];
  if (resource === undefined || inside === undefined) return false;
  let found: unknown = answer;
  for (const step of resource.slice(1).split('/')) found = (found as Record<string, unknown> | undefined)?.[step];
  return isRaw(found) && narrowed.includes(String(found['type']));
}

/** A pointer for people: which row of many is not told. */
function placeOf(pointer: string): string {
  return pointer === '' ? 'the whole' : pointer.replace(/\/\d+(?=\/|$)/g, '/*');
}

/** The file of a revision; where there is none, those of its neighbours, since it lies between them. */
export function serving(specifications: readonly Specification[], served: string): Specification[] {
  const exact = specifications.find(({ revision }) => revision === served);
  if (exact) return [exact];
  const before = specifications.findLast(({ revision }) => revision < served);
  const after = specifications.find(({ revision }) => revision > served);
  return [before, after].filter((specification) => specification !== undefined);
}

function valueFaults(specification: Specification, { name, schema }: Parameter, value: string): string[] {
  const { type } = specification.schemas.shape([schema]);
  const read =
    type === 'array'
      ? value.split(',')
      : type === 'integer'
        ? Number(value)
        : type === 'boolean'
          ? value === 'true'
          : value;
  return faultsOf(specification.schemas, [schema], read).map(({ detail }) => `the query's ${name} ${detail}`);
}

/** Texts stand in quotes, instants, numbers and truth values bare: a quoted instant is refused. */
function filterValueFaults({ schemas }: Specification, schema: Raw, { field, values }: Condition): string[] {
  const { type, format } = schemas.shape([schema]);
  const due = type === 'string' && format !== 'date-time' ? 'text' : 'bare';
  return values.flatMap(({ text, kind }) => {
    if (kind !== due) return [`the filter's ${field} must ${due === 'text' ? 'be' : 'not be'} in quotes`];
    const read = type === 'string' ? text : (JSON.parse(text) as unknown);
    return faultsOf(schemas, [schema], read).map(({ detail }) => `the filter's ${field} ${detail}`);
  });
}

function bodyFaults({ body: held }: FileOperation, specification: Specification, exchange: Exchange): string[] {
  const { body, headers } = exchange;
  if (!held) return body === undefined ? [] : ['the file takes no body, and one is sent'];
  if (body === undefined) return ['the file demands a body, and none is sent'];
  const type = mediaTypeOf(headers['content-type'] ?? '');
  const types = mediaTypes(held.mediaTypes, specification);
  const typed = types.includes(type) ? [] : [`the body is sent as ${type}, not ${types.join(' or ')}`];
  const faults = faultsOf(specification.schemas, held.schema, body);
  return [...typed, ...faults.map(({ pointer, detail }) => `in the body, ${placeOf(pointer)} ${detail}`)];
}

function mediaTypes(named: readonly string[], { revision }: Specification): readonly string[] {
  return revision < JSON_API_SINCE ? [...named, JSON_API] : named;
}

function mediaTypeOf(header: string): string {
  return header.split(';')[0]?.trim().toLowerCase() ?? '';
}

/** Whether a place is another or lies within it. */
function isWithin(pointer: string, place: string): boolean {
  return pointer === place || pointer.startsWith(`${place}/`) || place === '';
}
