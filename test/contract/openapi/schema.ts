/** A schema as it stands in one of Klaviyo's files. */
export type Raw = Readonly<Record<string, unknown>>;

/** What one place of a document may hold: every schema that applies there, read as one. */
export interface Shape {
  type: string | undefined;
  nullable: boolean;
  /** Undefined: any key is allowed, as in `properties` of a profile. */
  properties: ReadonlyMap<string, readonly Raw[]> | undefined;
  required: ReadonlySet<string>;
  items: readonly Raw[] | undefined;
  values: readonly unknown[] | undefined;
  format: string | undefined;
  minimum: number | undefined;
  maximum: number | undefined;
  maxProperties: number | undefined;
  /** At least one of each group fits. Klaviyo writes `oneOf` where several of its branches fit at once. */
  choices: readonly (readonly (readonly Raw[])[])[];
}

/** Says nothing about what a document may be. */
const SILENT = ['description', 'example', 'default', 'readOnly', 'writeOnly', 'title'];
const SPOKEN = [
  ...['$ref', 'allOf', 'oneOf', 'type', 'nullable', 'properties', 'required', 'items', 'enum', 'format'],
  ...['minimum', 'maximum', 'maxProperties'],
];
const KNOWN = new Set([...SILENT, ...SPOKEN]);

/** Reads schemas of one file: follows references, merges what `allOf` puts together, refuses words that it does not know. */
export class Schemas {
  private readonly shapes = new WeakMap<Raw, Shape>();

  constructor(private readonly root: Raw) {}

  /** The parts read as one: each of them applies. */
  shape(parts: readonly Raw[]): Shape {
    const [only, ...others] = parts;
    if (only === undefined || others.length > 0) return this.merged(parts);
    const known = this.shapes.get(only);
    if (known) return known;
    const shape = this.merged(parts);
    this.shapes.set(only, shape);
    return shape;
  }

  /** What stands behind a reference such as `#/components/schemas/ListEnum`. */
  resolve(reference: string): Raw {
    let found: unknown = this.root;
    for (const name of reference.replace(/^#\//, '').split('/')) found = isRaw(found) ? found[name] : undefined;
    if (!isRaw(found)) throw new Error(`the file refers to ${reference}, which it does not have`);
    return found;
  }

  private merged(parts: readonly Raw[]): Shape {
    const flat = parts.flatMap((part) => this.flat(part, 0));
    const properties = new Map<string, Raw[]>();
    for (const part of flat)
      for (const [name, schema] of Object.entries(objectOf(part['properties'])))
        properties.set(name, [...(properties.get(name) ?? []), schema]);
    const items = flat.flatMap((part) => (isRaw(part['items']) ? [part['items']] : []));
    return {
      type: text(last(flat, 'type')),
      nullable: flat.some((part) => part['nullable'] === true),
      properties: flat.some((part) => isRaw(part['properties'])) ? properties : undefined,
      required: new Set(flat.flatMap((part) => (part['required'] ?? []) as string[])),
      items: items.length > 0 ? items : undefined,
      values: last(flat, 'enum') as unknown[] | undefined,
      format: text(last(flat, 'format')),
      minimum: number(last(flat, 'minimum')),
      maximum: number(last(flat, 'maximum')),
      maxProperties: number(last(flat, 'maxProperties')),
      choices: flat.flatMap((part) => {
        const choice = part['oneOf'] as readonly Raw[] | undefined;
        return choice === undefined ? [] : [choice.map((branch) => [branch])];
      }),
    };
  }

  /** A schema and all that it refers to or is put together of; what stands beside a reference counts too. */
  private flat(part: Raw, depth: number): Raw[] {
    if (depth > 30) throw new Error('the file refers in a circle');
    for (const word of Object.keys(part))
      if (!KNOWN.has(word) && !word.startsWith('x-'))
        throw new Error(`the file says "${word}" of a schema, which this checker does not understand`);
    const behind = text(part['$ref']);
    const members = (part['allOf'] ?? []) as readonly Raw[];
    return [
      ...(behind === undefined ? [] : this.flat(this.resolve(behind), depth + 1)),
      ...members.flatMap((member) => this.flat(member, depth + 1)),
      part,
    ];
  }
}

export function isRaw(value: unknown): value is Raw {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectOf(value: unknown): Readonly<Record<string, Raw>> {
  return isRaw(value) ? (value as Record<string, Raw>) : {};
}

function last(parts: readonly Raw[], word: string): unknown {
  return parts.findLast((part) => part[word] !== undefined)?.[word];
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
