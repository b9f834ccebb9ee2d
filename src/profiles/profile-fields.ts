import { ApiPropertyOptional, type ApiPropertyOptions } from '@nestjs/swagger';
import type { Fault } from '../common/formats';
import { Email, JsonObject, Nullable, Num, Optional, Phone, StringArray, Text } from '../common/rules';
import { LOCATION_FIELDS, TEXT_FIELDS, type LocationField, type TextField } from './profile';

export type FieldType = 'email' | 'phone' | 'text' | 'number' | 'object' | 'text[]';
export type FieldName = TextField | `location.${LocationField}` | 'customAttributes' | 'tags';

/** One field that may be written: what it is, the rule that judges it, and the sentences and schema that say the rule. */
interface Field {
  type: FieldType;
  rule: PropertyDecorator;
  constraints: readonly Fault[];
  schema: ApiPropertyOptions;
}

/** The heaviest profile that Klaviyo takes (since revision 2025-01-15), as JSON. */
export const MAX_PROFILE_BYTES = 100 * 1024;
export const MAX_PROFILE_TEXT = '100 KB';
const MAX_TAGS = 200;
const MAX_TAG = 100;

const text = (max: number): Field => ({
  type: 'text',
  rule: Text({ max }),
  constraints: [{ key: 'tooLong', params: { max } }],
  schema: { type: 'string', minLength: 1, maxLength: max },
});
const degrees = (limit: number): Field => ({
  type: 'number',
  rule: Num({ min: -limit, max: limit }),
  constraints: [
    { key: 'tooSmall', params: { min: -limit } },
    { key: 'tooLarge', params: { max: limit } },
  ],
  schema: { type: 'number', minimum: -limit, maximum: limit },
});

const tagsRule = (): PropertyDecorator =>
  StringArray({ max: MAX_TAGS, itemMax: MAX_TAG, pattern: /\S/, fault: 'empty' });
const TAGS_SCHEMA: ApiPropertyOptions = {
  type: 'array',
  maxItems: MAX_TAGS,
  items: { type: 'string', minLength: 1, maxLength: MAX_TAG },
};

/** Names of tags that may be left out: not blank, trimmed by whoever takes them in. */
export function TagNames(): PropertyDecorator {
  return together(ApiPropertyOptional(TAGS_SCHEMA), Optional(), tagsRule());
}

const MAX_KEYS = 400;
const MAX_DEPTH = 10;

/**
 * Every field of a profile that callers may write. The one table behind both the validation and what
 * `GET /update-contact` says of it. Klaviyo documents no lengths: these keep out what is surely a mistake.
 */
const FIELDS: Readonly<Record<FieldName, Field>> = {
  email: {
    type: 'email',
    rule: Email(),
    constraints: [{ key: 'notEmail' }],
    schema: { type: 'string', format: 'email', maxLength: 254 },
  },
  phoneNumber: {
    type: 'phone',
    rule: Phone(),
    constraints: [{ key: 'notPhone' }],
    schema: { type: 'string', pattern: '^\\+[1-9][0-9]{6,14}$' },
  },
  externalId: text(255),
  firstName: text(255),
  lastName: text(255),
  organization: text(255),
  title: text(255),
  image: text(2048),
  locale: text(35),
  'location.address1': text(255),
  'location.address2': text(255),
  'location.city': text(255),
  'location.region': text(255),
  'location.country': text(255),
  'location.zip': text(50),
  'location.timezone': text(100),
  'location.latitude': degrees(90),
  'location.longitude': degrees(180),
  'location.ip': text(45),
  customAttributes: {
    type: 'object',
    rule: JsonObject({ maxKeys: MAX_KEYS, maxDepth: MAX_DEPTH }),
    constraints: [
      { key: 'tooManyKeys', params: { max: MAX_KEYS } },
      { key: 'tooDeep', params: { max: MAX_DEPTH } },
      { key: 'tooHeavy', params: { max: MAX_PROFILE_TEXT } },
    ],
    schema: { type: 'object', additionalProperties: true },
  },
  tags: {
    type: 'text[]',
    rule: tagsRule(),
    constraints: [
      { key: 'tooManyItems', params: { max: MAX_TAGS } },
      { key: 'tooLong', params: { max: MAX_TAG } },
    ],
    schema: TAGS_SCHEMA,
  },
};

const NAMES: readonly FieldName[] = [
  ...TEXT_FIELDS,
  ...LOCATION_FIELDS.map((name) => `location.${name}` as const),
  'customAttributes',
  'tags',
];

/** The table in words: name, type and the sentences of each field's rule. */
export function writableFields(): { name: FieldName; type: FieldType; constraints: readonly Fault[] }[] {
  return NAMES.map((name) => ({ name, type: FIELDS[name].type, constraints: FIELDS[name].constraints }));
}

/** A property that is a field of the table and may be left out. */
export function ProfileField(name: FieldName): PropertyDecorator {
  return together(ApiPropertyOptional(FIELDS[name].schema), Optional(), FIELDS[name].rule);
}

/** As `ProfileField`, and null clears it. */
export function ClearableField(name: FieldName): PropertyDecorator {
  const schema = { ...FIELDS[name].schema, nullable: true } as ApiPropertyOptions;
  return together(ApiPropertyOptional(schema), Optional(), Nullable(), FIELDS[name].rule);
}

function together(...decorators: PropertyDecorator[]): PropertyDecorator {
  return (target, key) => decorators.forEach((decorator) => decorator(target, key));
}
