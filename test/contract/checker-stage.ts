import { Specification } from './openapi/specification';
import type { Exchange } from './traffic/exchange';

const JSON_API = 'application/vnd.api+json';

const id = { type: 'string' };
const lists = {
  type: 'object',
  required: ['data', 'links'],
  properties: {
    data: {
      type: 'array',
      items: { allOf: [{ $ref: '#/components/schemas/List' }, { properties: { links: { type: 'object' } } }] },
    },
    included: {
      type: 'array',
      items: { oneOf: [{ $ref: '#/components/schemas/Tag' }, { $ref: '#/components/schemas/Flow' }] },
    },
    links: { type: 'object', properties: { self: { type: 'string' }, next: { type: 'string' } }, required: ['self'] },
  },
};
const listParameters = [
  { name: 'page[cursor]', in: 'query', schema: { type: 'string' } },
  { name: 'page[size]', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 10, default: 10 } },
  { name: 'sort', in: 'query', schema: { type: 'string', enum: ['name', '-name'] } },
  {
    name: 'fields[list]',
    in: 'query',
    schema: { type: 'array', items: { type: 'string', enum: ['name', 'created'] } },
  },
  {
    name: 'filter',
    in: 'query',
    required: true,
    schema: { type: 'string' },
    description: 'More.<br>Allowed field(s)/operator(s):<br>`name`: `any`, `equals`<br>`created` : `greater-than`',
  },
  { name: 'revision', in: 'header', schema: { type: 'string' } },
];

/** A file like one of Klaviyo's, small enough to be read: lists, and what the checker must understand. */
export function smallFile(
  revision = '2026-07-15',
  change: (list: Record<string, unknown>) => void = () => undefined,
): Specification {
  const list = {
    type: 'object',
    required: ['type', 'id', 'attributes'],
    properties: {
      type: { type: 'string', enum: ['list'] },
      id,
      attributes: {
        type: 'object',
        required: ['name'],
        properties: {
          name: { type: 'string', nullable: true },
          created: { type: 'string', format: 'date-time' },
          free: { type: 'object' },
          note: { oneOf: [{ type: 'string' }, { type: 'number' }] },
        },
      },
    },
  };
  change(list.properties.attributes.properties);
  const related = (type: string) => ({
    type: 'object',
    required: ['type', 'id'],
    properties: {
      type: { type: 'string', enum: [type] },
      id,
      attributes: { type: 'object', properties: { [`${type}_name`]: { type: 'string' } } },
    },
  });
  const answer = (schema: object) => ({ description: 'Success', content: { [JSON_API]: { schema } } });
  const error = {
    type: 'object',
    properties: { id, code: id, title: id, detail: id },
    required: ['id', 'code', 'title', 'detail'],
  };
  const limits = { 'x-klaviyo-ratelimit': { burst: '75/s', steady: '750/m' } };
  const failures = { '4XX': { $ref: '#/components/responses/ClientError' } };
  return new Specification(revision, {
    paths: {
      '/api/lists': {
        get: {
          operationId: 'get_lists',
          parameters: listParameters,
          responses: { '200': answer(lists), ...failures },
          ...limits,
          'x-klaviyo-scopes': ['lists:read'],
          'x-klaviyo-filters': {
            name: { value: { type: 'string' } },
            created: { value: { type: 'string', format: 'date-time' } },
          },
        },
        post: {
          operationId: 'create_list',
          description: 'Make one.<br><br>*Rate limits*:<br>Burst: `10/s`<br>Steady: `150/m`<br>Daily: `150/d`',
          requestBody: {
            required: true,
            content: {
              [JSON_API]: {
                schema: {
                  type: 'object',
                  required: ['data'],
                  properties: {
                    data: {
                      type: 'object',
                      required: ['type', 'attributes'],
                      properties: { type: { type: 'string', enum: ['list'] }, attributes: list.properties.attributes },
                    },
                  },
                },
              },
            },
          },
          responses: {
            '201': answer({ type: 'object', properties: { data: list } }),
            '204': { description: 'Nothing' },
            ...failures,
          },
          'x-klaviyo-scopes': ['lists:write'],
        },
      },
      '/api/lists/{list_id}': {
        get: {
          operationId: 'get_list',
          description:
            'Rate limits when using the `additional-fields[list]=profile_count` parameter in your API request:<br>Burst: `1/s`<br>Steady: `15/m`',
          parameters: [
            {
              name: 'additional-fields[list]',
              in: 'query',
              schema: { type: 'array', items: { type: 'string', enum: ['profile_count'] } },
            },
          ],
          responses: { '200': answer({ type: 'object', properties: { data: list } }), ...failures },
          ...limits,
          'x-klaviyo-scopes': ['lists:read'],
        },
      },
    },
    components: {
      schemas: { List: list, Tag: related('tag'), Flow: related('flow') },
      responses: {
        ClientError: answer({
          type: 'object',
          required: ['errors'],
          properties: { errors: { type: 'array', items: error } },
        }),
      },
    },
  });
}

/** A read of lists that is right in every respect, but for what is given. */
export function exchangeOf(change: Partial<Exchange> = {}): Exchange {
  return {
    method: 'GET',
    path: '/api/lists',
    search: '?filter=equals(name%2C%22A%22)',
    headers: { 'content-type': JSON_API },
    body: undefined,
    status: 200,
    answerType: JSON_API,
    answer: { data: [listOf()], links: { self: 'https://a.klaviyo.com/api/lists', next: null } },
    sent: '2026-07-15',
    served: '2026-07-15',
    ...change,
  };
}

/** A list as an answer has it, with other attributes. */
export function listOf(attributes: object = {}): Record<string, unknown> {
  return { type: 'list', id: 'A1', attributes: { name: 'A', ...attributes }, links: {} };
}
