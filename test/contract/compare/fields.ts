import type { Raw } from '../openapi/schema';
import type { Specification } from '../openapi/specification';

/** One field of a body or answer, read out of its schema. */
export interface Field {
  required: boolean;
  nullable: boolean;
  /** As the file calls it; undefined where it may be one of several. */
  type: string | undefined;
  values: readonly string[] | undefined;
}

/** Every field by its path, such as `data.attributes.name` or `included[profile].attributes.email`. */
export type Fields = ReadonlyMap<string, Field>;

/** Deeper than any document of Klaviyo's that the service reads; conditions of segments nest in themselves. */
const DEEPEST = 12;

/** All fields of schemas that apply to one document. */
export function fieldsOf(specification: Specification, schema: readonly Raw[]): Fields {
  const found = new Map<string, Field>();
  collect(specification, schema, '', 0, found);
  return found;
}

function collect(
  specification: Specification,
  parts: readonly Raw[],
  path: string,
  depth: number,
  found: Map<string, Field>,
): void {
  if (depth > DEEPEST) return;
  const { schemas } = specification;
  const shape = schemas.shape(parts);
  for (const choice of shape.choices)
    for (const branch of choice) {
      const kind = kindOf(specification, branch);
      const at = kind === undefined || !path.endsWith('[]') ? path : `${path.slice(0, -2)}[${kind}]`;
      collect(specification, branch, at, depth + 1, found);
    }
  if (shape.items) collect(specification, shape.items, `${path}[]`, depth + 1, found);
  for (const [name, inner] of shape.properties ?? []) {
    const at = path === '' ? name : `${path}.${name}`;
    const known = found.get(at);
    const values = wordsOf(specification, inner);
    const { type, nullable } = schemas.shape(inner);
    found.set(at, {
      type: known && known.type !== type ? undefined : type,
      nullable: nullable || known?.nullable === true,
      // Of several branches it may be missing where one does without it.
      required: shape.required.has(name) && (known?.required ?? true),
      values: values || known?.values ? [...new Set([...(known?.values ?? []), ...(values ?? [])])].sort() : undefined,
    });
    collect(specification, inner, at, depth + 1, found);
  }
}

/** The words that a text, or each item of a list, may be. */
function wordsOf({ schemas }: Specification, parts: readonly Raw[]): readonly string[] | undefined {
  const shape = schemas.shape(parts);
  return (shape.items ? schemas.shape(shape.items) : shape).values?.map(String);
}

/** The type of resource that a branch is for. */
function kindOf({ schemas }: Specification, branch: readonly Raw[]): string | undefined {
  const type = schemas.shape(branch).properties?.get('type');
  const [only] = type ? (schemas.shape(type).values ?? []) : [];
  return typeof only === 'string' ? only : undefined;
}
