import { allowedFilters } from './filter';
import { isRaw, Schemas, type Raw } from './schema';

/** Calls that a file allows: in a second, a minute, a day. */
export interface FileLimits {
  burst: number | undefined;
  steady: number | undefined;
  daily: number | undefined;
}

/** A stricter second budget that a value of the query costs. */
export interface FileBudget {
  query: string;
  value: string;
  burst: number;
  steady: number;
}

export interface Parameter {
  name: string;
  required: boolean;
  schema: Raw;
  description: string;
}

/** One operation as a file describes it. */
export interface FileOperation {
  /** The file's own name for it, e.g. `get_list`. */
  id: string;
  method: string;
  /** With a trailing slash where the revision spells one. */
  path: string;
  scopes: readonly string[];
  limits: FileLimits;
  budgets: readonly FileBudget[];
  query: ReadonlyMap<string, Parameter>;
  /** Fields and operators of `filter`; empty without that parameter. */
  filters: ReadonlyMap<string, readonly string[]>;
  /** What the values of these fields are; only newer files say so. */
  filterValues: ReadonlyMap<string, Raw>;
  body: { required: boolean; mediaTypes: readonly string[]; schema: readonly Raw[] } | undefined;
  /** By status, `4XX` and `5XX` included; null where the answer has no body. */
  answers: ReadonlyMap<string, { mediaTypes: readonly string[]; schema: readonly Raw[] } | null>;
}

const METHODS = ['get', 'post', 'patch', 'put', 'delete'];

/** One of Klaviyo's OpenAPI files: what one revision of the API is. */
export class Specification {
  readonly schemas: Schemas;
  private readonly byAddress = new Map<string, FileOperation>();
  private readonly byLength = new Map<string, FileOperation[]>();

  /** @param revision `2026-07-15` */
  constructor(
    readonly revision: string,
    document: Raw,
  ) {
    this.schemas = new Schemas(document);
    for (const [path, item] of entries(document['paths']))
      for (const method of METHODS) if (isRaw(item[method])) this.add(this.read(method, path, item[method]));
  }

  /** An operation by its path with whatever names of placeholders. */
  operation(method: string, path: string): FileOperation | undefined {
    return this.byAddress.get(addressOf(method, path));
  }

  /** The operation that a real path belongs to, such as `/api/lists/Y6nRLr/`. */
  ofPath(method: string, path: string): FileOperation | undefined {
    const parts = segments(path);
    const fitting = (this.byLength.get(`${method} ${parts.length}`) ?? []).filter((operation) =>
      segments(operation.path).every((name, index) => name.startsWith('{') || name === parts[index]),
    );
    // A literal segment is nearer than a placeholder.
    return fitting.sort((a, b) => placeholders(a.path) - placeholders(b.path))[0];
  }

  /** All operations of the file. */
  operations(): readonly FileOperation[] {
    return [...this.byAddress.values()];
  }

  /** Second budgets that any operation names: they count across endpoints. */
  budgets(): readonly FileBudget[] {
    return this.operations().flatMap(({ budgets }) => budgets);
  }

  private add(operation: FileOperation): void {
    this.byAddress.set(addressOf(operation.method, operation.path), operation);
    const key = `${operation.method} ${segments(operation.path).length}`;
    this.byLength.set(key, [...(this.byLength.get(key) ?? []), operation]);
  }

  private read(method: string, path: string, raw: Raw): FileOperation {
    const description = textOf(raw['description']);
    const parameters = ((raw['parameters'] ?? []) as Raw[]).filter((parameter) => parameter['in'] === 'query');
    const query = parameters.map((parameter): [string, Parameter] => {
      const name = textOf(parameter['name']);
      const about = textOf(parameter['description']);
      const schema = isRaw(parameter['schema']) ? parameter['schema'] : {};
      return [name, { name, required: parameter['required'] === true, schema, description: about }];
    });
    const filter = query.find(([name]) => name === 'filter')?.[1];
    return {
      id: textOf(raw['operationId']),
      method: method.toUpperCase(),
      path,
      scopes: ((raw['x-klaviyo-scopes'] ?? []) as string[]).toSorted(),
      limits: limitsOf(raw['x-klaviyo-ratelimit'], description),
      budgets: budgetsOf(description),
      query: new Map(query),
      filters: filter ? allowedFilters(filter.description) : new Map(),
      filterValues: new Map(
        entries(raw['x-klaviyo-filters']).flatMap(([field, { value }]) => (isRaw(value) ? [[field, value]] : [])),
      ),
      body: bodyOf(raw['requestBody']),
      answers: new Map(entries(raw['responses']).map(([status, answer]) => [status, this.answer(answer)])),
    };
  }

  private answer(raw: Raw): { mediaTypes: readonly string[]; schema: readonly Raw[] } | null {
    const reference = raw['$ref'];
    const answer = typeof reference === 'string' ? this.schemas.resolve(reference) : raw;
    return contentOf(answer);
  }
}

function contentOf(raw: Raw): { mediaTypes: readonly string[]; schema: readonly Raw[] } | null {
  const content = entries(raw['content']);
  const schema = content.map(([, media]) => media['schema']).find(isRaw);
  return schema === undefined ? null : { mediaTypes: content.map(([type]) => type), schema: [schema] };
}

function bodyOf(raw: unknown): FileOperation['body'] {
  if (!isRaw(raw)) return undefined;
  const content = contentOf(raw);
  return content === null ? undefined : { required: raw['required'] === true, ...content };
}

const AMOUNT = '`(\\d+)/';

/** The figures of the extension; those of the description where there is none. */
function limitsOf(extension: unknown, description: string): FileLimits {
  const said = isRaw(extension)
    ? extension
    : {
        burst: new RegExp(`Burst: ${AMOUNT}s\``).exec(description)?.[1],
        steady: new RegExp(`Steady: ${AMOUNT}m\``).exec(description)?.[1],
        daily: new RegExp(`Daily: ${AMOUNT}d\``).exec(description)?.[1],
      };
  const amount = (value: unknown) => (value === undefined ? undefined : Number.parseInt(textOf(value), 10));
  return { burst: amount(said['burst']), steady: amount(said['steady']), daily: amount(said['daily']) };
}

function budgetsOf(description: string): FileBudget[] {
  const pattern = new RegExp(
    `Rate limits when using the \`([^\`=]+)=([^\`]+)\`[^:]*:<br>Burst: ${AMOUNT}s\`<br>Steady: ${AMOUNT}m\``,
    'g',
  );
  return [...description.matchAll(pattern)].map(([, query = '', value = '', burst, steady]) => ({
    query,
    value,
    burst: Number(burst),
    steady: Number(steady),
  }));
}

function addressOf(method: string, path: string): string {
  return `${method.toUpperCase()} /${segments(path)
    .map((name) => (name.startsWith('{') ? '{}' : name))
    .join('/')}`;
}

function segments(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}

function placeholders(path: string): number {
  return segments(path).filter((name) => name.startsWith('{')).length;
}

function entries(value: unknown): [string, Raw][] {
  return Object.entries(isRaw(value) ? value : {}).filter((entry): entry is [string, Raw] => isRaw(entry[1]));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
