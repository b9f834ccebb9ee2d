/** What of one operation's answers was looked at: paths such as `data[].attributes.name`. */
export type Reads = Map<string, Set<string>>;

/** Words that programs ask of any object, whatever it holds. */
const OF_THE_LANGUAGE = new Set(['toJSON', 'then', 'constructor', 'nodeType', 'asymmetricMatch', '$$typeof']);

/**
 * A document that remembers which of its fields are read, at every depth, whether they are there or not. What is made
 * of it reads as it does.
 */
export function watched<T>(document: T, seen: (path: string) => void, path = ''): T {
  if (typeof document !== 'object' || document === null) return document;
  const inside = new Map<PropertyKey, unknown>();
  return new Proxy(document, {
    get(target, name, receiver) {
      const value: unknown = Reflect.get(target, name, receiver);
      if (typeof name === 'symbol' || typeof value === 'function') return value;
      const field = fieldOf(target, name, path);
      if (field === undefined) return value;
      if (!field.endsWith('[]')) seen(field);
      if (typeof value !== 'object' || value === null) return value;
      if (!inside.has(name)) inside.set(name, watched(value, seen, field));
      return inside.get(name);
    },
  });
}

/** The path of a field; undefined for what is none, such as the length of an array. */
function fieldOf(target: object, name: string, path: string): string | undefined {
  if (Array.isArray(target)) return /^\d+$/.test(name) ? `${path}[]` : undefined;
  if (OF_THE_LANGUAGE.has(name)) return undefined;
  return path === '' ? name : `${path}.${name}`;
}
