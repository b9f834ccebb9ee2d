import type { OpenAPIObject } from '@nestjs/swagger';
import { STATUS_OF, type ErrorCode } from '../common/errors';
import { titleOf } from '../common/messages';

/** The addresses that the document describes; each also answers without its version. */
const DESCRIBED = '/api/v1/klaviyo/';
const METHODS = ['get', 'post', 'put', 'patch', 'delete'] as const;
type Method = (typeof METHODS)[number];

// @nestjs/swagger exports the document's type only; its parts are named from there.
type Operation = NonNullable<OpenAPIObject['paths'][string]['get']>;
type Parameter = NonNullable<Operation['parameters']>[number];
type AnyResponse = NonNullable<Operation['responses'][string]>;
type Reference = Extract<AnyResponse, { $ref: string }>;
type Response = Exclude<AnyResponse, Reference>;
type Schema = Exclude<NonNullable<NonNullable<OpenAPIObject['components']>['schemas']>[string], Reference>;

const COMMON_HEADERS: readonly Parameter[] = [
  header('X-User-Id', 'The user, where neither the body nor the query names one.', { type: 'integer', minimum: 1 }),
  header('X-Request-Id', 'An id of your own for this call; answered and logged. Another form gets a new id.', {
    type: 'string',
    pattern: '^[A-Za-z0-9._-]{8,128}$',
  }),
  header('Accept-Language', 'The language of the sentences in problem documents.', {
    type: 'string',
    enum: ['fr', 'en'],
    default: 'fr',
  }),
];
const IDEMPOTENCY_KEY = header(
  'Idempotency-Key',
  'Makes repeating this call safe for 24 h: the first answer is given again, with Idempotency-Replayed: true.',
  { type: 'string', minLength: 1, maxLength: 255 },
);

/**
 * Says in the document what holds for every call and stands in no controller: who may call, the headers, the answers
 * that are errors, `success: true` on the others. Drops every address that is not a versioned one of the API.
 * @param open operation ids that need no caller
 */
export function applyRules(document: OpenAPIObject, open: ReadonlySet<string>): OpenAPIObject {
  const paths: OpenAPIObject['paths'] = {};
  for (const [path, item] of Object.entries(document.paths)) {
    if (!path.startsWith(DESCRIBED)) continue;
    for (const method of METHODS) {
      const operation = item[method];
      if (!operation) continue;
      // A handler with two addresses gets a number for each: only one address is left here.
      operation.operationId = operation.operationId?.replace(/\[\d+\]$/, '');
      describe(operation, method, open.has(operation.operationId ?? ''));
    }
    paths[path] = item;
  }
  return {
    ...document,
    paths,
    components: {
      ...document.components,
      schemas: { ...document.components?.schemas, Success: SUCCESS, Problem: PROBLEM },
      responses: problemResponses(),
    },
  };
}

function describe(operation: Operation, method: Method, isOpen: boolean): void {
  const parameters: Parameter[] = [...(operation.parameters ?? [])];
  if (!isOpen) {
    parameters.push(...COMMON_HEADERS);
    if (method === 'post') parameters.push(IDEMPOTENCY_KEY);
  }
  operation.parameters = parameters;
  operation.security = isOpen ? [] : [{ bearer: [] }];
  const responses: Operation['responses'] = {};
  for (const [status, response] of Object.entries(operation.responses))
    responses[status] = response && !isReference(response) ? completed(response, status) : response;
  for (const status of failuresOf(method, operation.requestBody !== undefined))
    responses[status] ??= { $ref: `#/components/responses/Problem${status}` };
  operation.responses = responses;
}

function failuresOf(method: Method, hasBody: boolean): number[] {
  return [...new Set<number>(Object.values(STATUS_OF))].filter(
    (status) => (status !== 409 || method !== 'get') && ((status !== 413 && status !== 415) || hasBody),
  );
}

function completed(response: Response, status: string): Response {
  const described = { ...response, description: response.description || (PLAIN_WORDS[status] ?? 'Done') };
  const media = response.content?.['application/json'];
  if (!media?.schema) return described;
  const schema: Schema = { allOf: [{ $ref: '#/components/schemas/Success' }, media.schema] };
  return { ...described, content: { ...response.content, 'application/json': { ...media, schema } } };
}

function problemResponses(): Record<string, Response> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const [code, status] of Object.entries(STATUS_OF) as [ErrorCode, number][])
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      `Problem${status}`,
      {
        description: codes.map((code) => `\`${code}\`: ${titleOf(code, 'en')}`).join('. '),
        ...(status === 429 || status === 503 ? { headers: { 'Retry-After': RETRY_AFTER } } : {}),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

const PLAIN_WORDS: Readonly<Record<string, string>> = { 200: 'Done', 201: 'Created', 202: 'Accepted' };

const SUCCESS: Schema = {
  type: 'object',
  required: ['success'],
  properties: { success: { type: 'boolean', enum: [true] } },
};

const RETRY_AFTER = {
  description: 'Seconds until it is worth trying again',
  schema: { type: 'integer', minimum: 1 } satisfies Schema,
};

const PROBLEM: Schema = {
  type: 'object',
  description: 'RFC 9457: what went wrong, for people (title, detail) and for programs (code).',
  required: ['success', 'type', 'title', 'status', 'detail', 'code', 'instance', 'requestId'],
  properties: {
    success: { type: 'boolean', enum: [false] },
    type: { type: 'string', description: 'Where the code is explained.', example: '/docs/errors#VALIDATION_FAILED' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What happened and what to do next, in the language asked for.' },
    code: { type: 'string', enum: Object.keys(STATUS_OF) },
    instance: { type: 'string', description: 'The path that was called, without its query.' },
    requestId: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        required: ['field', 'message'],
        properties: {
          field: { type: 'string', description: 'A dotted path in your own body or query.', example: 'items[3].email' },
          message: { type: 'string' },
        },
      },
    },
    retryAfter: { type: 'integer', description: 'Seconds until it is worth trying again.' },
  },
};

function header(name: string, description: string, schema: Schema): Parameter {
  return { name, in: 'header', required: false, description, schema };
}

function isReference(value: object): value is Reference {
  return '$ref' in value;
}
