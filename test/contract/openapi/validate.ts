import { isRaw, type Raw, type Schemas, type Shape } from './schema';

/** One thing wrong with a value, and where: a JSON pointer. */
export interface Fault {
  pointer: string;
  kind: 'unknown' | 'missing' | 'null' | 'type' | 'value' | 'format' | 'range';
  detail: string;
}

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;
const DATE = /^\d{4}-\d{2}-\d{2}$/;

/** Every fault of a value against schemas that all apply to it. Strict: a key that they do not name is a fault, at every level. */
export function faultsOf(schemas: Schemas, parts: readonly Raw[], value: unknown, pointer = ''): Fault[] {
  const shape = schemas.shape(parts);
  if (value === null) return allowsNull(schemas, shape) ? [] : [fault(pointer, 'null', 'is null, which it may not be')];
  const keys = new Set(shape.properties?.keys() ?? []);
  const faults = [...ownFaults(schemas, shape, value, pointer)];
  for (const choice of shape.choices) {
    const tried = choice.map((branch) => faultsOf(schemas, branch, value, pointer));
    const best = closest(tried, pointer);
    // What stands beside the choice names keys too: those are not unknown.
    faults.push(...best.filter(({ kind, pointer: at }) => !(kind === 'unknown' && keys.has(nameIn(pointer, at)))));
  }
  if (shape.choices.length === 0 && shape.properties !== undefined && isRaw(value))
    for (const key of Object.keys(value))
      if (!keys.has(key)) faults.push(fault(`${pointer}/${escaped(key)}`, 'unknown', 'is not a field there'));
  return faults;
}

function ownFaults(schemas: Schemas, shape: Shape, value: unknown, pointer: string): Fault[] {
  const wrongType = shape.type !== undefined && !isOf(shape.type, value);
  if (wrongType) return [fault(pointer, 'type', `is ${nameOf(value)} where the file says ${shape.type ?? ''}`)];
  if (shape.values && !shape.values.includes(value))
    return [
      fault(
        pointer,
        'value',
        `is ${shown(value)}, which is none of ${shape.values.map(shown).slice(0, 40).join(', ')}`,
      ),
    ];
  if (typeof value === 'string') return textFaults(shape, value, pointer);
  if (typeof value === 'number') return numberFaults(shape, value, pointer);
  if (Array.isArray(value)) {
    const { items } = shape;
    return items === undefined
      ? []
      : value.flatMap((item, index) => faultsOf(schemas, items, item, `${pointer}/${index}`));
  }
  return isRaw(value) ? objectFaults(schemas, shape, value, pointer) : [];
}

function objectFaults(schemas: Schemas, shape: Shape, value: Raw, pointer: string): Fault[] {
  const faults: Fault[] = [];
  for (const name of shape.required)
    if (!Object.hasOwn(value, name)) faults.push(fault(`${pointer}/${escaped(name)}`, 'missing', 'is missing'));
  if (shape.maxProperties !== undefined && Object.keys(value).length > shape.maxProperties)
    faults.push(fault(pointer, 'range', `has more than ${shape.maxProperties} fields`));
  for (const [name, parts] of shape.properties ?? [])
    if (Object.hasOwn(value, name))
      faults.push(...faultsOf(schemas, parts, value[name], `${pointer}/${escaped(name)}`));
  return faults;
}

function textFaults(shape: Shape, value: string, pointer: string): Fault[] {
  const pattern = shape.format === 'date-time' ? INSTANT : shape.format === 'date' ? DATE : undefined;
  if (pattern === undefined || (pattern.test(value) && !Number.isNaN(Date.parse(value)))) return [];
  return [fault(pointer, 'format', `is ${shown(value)}, which is no ${shape.format ?? ''}`)];
}

function numberFaults(shape: Shape, value: number, pointer: string): Fault[] {
  const { minimum = -Infinity, maximum = Infinity } = shape;
  return value >= minimum && value <= maximum
    ? []
    : [fault(pointer, 'range', `is ${value}, outside ${minimum} to ${maximum}`)];
}

/**
 * Of the refusals by each branch the one that came nearest; none where one fits. A branch for another type of resource
 * is the farthest; then the fewest faults count, then the deepest.
 */
function closest(tried: readonly Fault[][], pointer: string): Fault[] {
  const ofAnother = (faults: readonly Fault[]) =>
    faults.some((found) => found.kind === 'value' && found.pointer === `${pointer}/type`) ? 1 : 0;
  const depth = (faults: readonly Fault[]) => Math.max(...faults.map((found) => found.pointer.split('/').length));
  const [best = []] = [...tried].sort((a, b) => {
    if (a.length === 0 || b.length === 0) return a.length - b.length;
    return ofAnother(a) - ofAnother(b) || a.length - b.length || depth(b) - depth(a);
  });
  return best;
}

function isOf(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return isRaw(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'string':
    case 'number':
    case 'boolean':
      return typeof value === type;
    default:
      throw new Error(`the file says type "${type}", which this checker does not know`);
  }
}

/** Where it is said, in a branch of a choice too; a schema that says nothing allows null as well. */
function allowsNull(schemas: Schemas, shape: Shape): boolean {
  if (shape.nullable || shape.values?.includes(null)) return true;
  if (shape.choices.some((choice) => choice.some((branch) => allowsNull(schemas, schemas.shape(branch))))) return true;
  return shape.type === undefined && shape.properties === undefined && shape.choices.length === 0 && !shape.values;
}

function nameOf(value: unknown): string {
  return Array.isArray(value) ? 'an array' : `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`;
}

function shown(value: unknown): string {
  return JSON.stringify(value).slice(0, 120);
}

function fault(pointer: string, kind: Fault['kind'], detail: string): Fault {
  return { pointer, kind, detail };
}

function escaped(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** The name of the key directly under a place that another pointer leads through. */
function nameIn(pointer: string, deeper: string): string {
  return (deeper.slice(pointer.length + 1).split('/')[0] ?? '').replaceAll('~1', '/').replaceAll('~0', '~');
}
