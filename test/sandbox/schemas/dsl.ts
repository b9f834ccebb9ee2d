/** A request body's shape as plain data, so that it can be compared with another description of the same body. */
export type Schema =
  | {
      kind: 'string';
      values?: readonly string[];
      format?: 'date-time' | 'date';
      max?: number;
      min?: number;
      nullable?: boolean;
    }
  | { kind: 'number' | 'integer' | 'boolean' | 'free'; nullable?: boolean }
  | { kind: 'object'; props: Readonly<Record<string, Schema>>; required: readonly string[]; nullable?: boolean }
  | { kind: 'array'; items: Schema; max?: number; nullable?: boolean }
  | { kind: 'either'; options: readonly Schema[]; nullable?: boolean };

export const text: Schema = { kind: 'string' };
export const textOrNull: Schema = { kind: 'string', nullable: true };
export const instantOrNull: Schema = { kind: 'string', format: 'date-time', nullable: true };
export const numberOrNull: Schema = { kind: 'number', nullable: true };
export const flagOrNull: Schema = { kind: 'boolean', nullable: true };
/** Any object, unchecked inside. */
export const free: Schema = { kind: 'free' };
export const freeOrNull: Schema = { kind: 'free', nullable: true };

export function one(...values: string[]): Schema {
  return { kind: 'string', values };
}

export function list(items: Schema, max?: number): Schema {
  return max === undefined ? { kind: 'array', items } : { kind: 'array', items, max };
}

/** An object; a key ending in `!` is required. Undefined entries are left out, for parts a revision lacks. */
export function object(shape: Record<string, Schema | undefined>): Schema & { kind: 'object' } {
  const props: Record<string, Schema> = {};
  const required: string[] = [];
  for (const [key, schema] of Object.entries(shape)) {
    if (schema === undefined) continue;
    const name = key.endsWith('!') ? key.slice(0, -1) : key;
    if (name !== key) required.push(name);
    props[name] = schema;
  }
  return { kind: 'object', props, required };
}

export function orNull(schema: Schema): Schema {
  return { ...schema, nullable: true };
}

export function either(...options: Schema[]): Schema {
  return { kind: 'either', options };
}

/** A JSON:API request document around one resource. */
export function document(data: Record<string, Schema | undefined>): Schema {
  return object({ 'data!': object(data) });
}

/** A to-one or to-many link to other resources. */
export function linkTo(type: string): Schema {
  return object({ 'type!': one(type), 'id!': text });
}
