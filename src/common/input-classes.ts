/** What a property of a request class asks for before it is validated. */
export interface FieldSpec {
  /** The class of the object, or of each item of the array. */
  type?: () => new () => object;
  /** Items beyond which an array is left as it came: it is refused anyway. */
  max?: number;
  /** Reads the text of a query; leaves what it cannot read, for the rule to refuse. */
  convert?: (value: unknown) => unknown;
}

const FIELDS = 'edge:fields';
/** As own properties these would change what the instance is. */
const CLASS_KEYS = new Set(['__proto__', 'constructor']);

/** Notes how a property is read. Inherited by `extends`. */
export function registerField(target: object, key: string | symbol, spec: FieldSpec): void {
  const inherited = Reflect.getMetadata(FIELDS, target) as ReadonlyMap<string, FieldSpec> | undefined;
  Reflect.defineMetadata(FIELDS, new Map(inherited ?? []).set(String(key), spec), target);
}

/**
 * Makes an instance of a request class from what the caller sent: nested classes where the class says so, every
 * other value by reference, exactly as it came. Nothing is dropped and nothing is converted silently.
 * (class-transformer is not used: it loses keys such as `constructor` and fails on them, and costs ten times as much.)
 * @param unknown collects the paths of keys that no class can have
 */
export function instantiate(type: new () => object, raw: object, unknown: string[], path = ''): object {
  const fields = fieldsOf(type);
  const made = new type() as Record<string, unknown>;
  for (const [key, value] of Object.entries(raw)) {
    const at = path === '' ? key : `${path}.${key}`;
    if (CLASS_KEYS.has(key)) unknown.push(at);
    else made[key] = read(fields.get(key), value, unknown, at);
  }
  return made;
}

/** Looked up once for a class: its fields are all noted when it is defined. */
const fieldsOfClass = new WeakMap<object, ReadonlyMap<string, FieldSpec>>();

function fieldsOf(type: new () => object): ReadonlyMap<string, FieldSpec> {
  let fields = fieldsOfClass.get(type);
  if (!fields) {
    const noted: unknown = Reflect.getMetadata(FIELDS, type.prototype as object);
    fields = noted === undefined ? new Map<string, FieldSpec>() : (noted as ReadonlyMap<string, FieldSpec>);
    fieldsOfClass.set(type, fields);
  }
  return fields;
}

function read(spec: FieldSpec | undefined, value: unknown, unknown: string[], path: string): unknown {
  if (spec?.convert) return spec.convert(value);
  if (!spec?.type || typeof value !== 'object' || value === null) return value;
  const type = spec.type();
  if (!Array.isArray(value)) return spec.max === undefined ? instantiate(type, value, unknown, path) : value;
  if (spec.max === undefined || value.length > spec.max) return value;
  return value.map((item: unknown, index) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? instantiate(type, item, unknown, `${path}[${index}]`)
      : item,
  );
}
