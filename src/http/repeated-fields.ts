/**
 * The fields of a JSON object that stand in it more than once, with the texts of their values. RFC 8259 leaves open
 * which one counts, and whatever stands between us and the caller may have judged another. Only the object itself is
 * looked at, not what is nested in it.
 * @param json known to be JSON and an object
 */
export function repeatedFields(json: string): Map<string, string[]> {
  const fields = new Map<string, string[]>();
  let depth = 0;
  let name: string | undefined;
  let from = 0;
  const close = (at: number): void => {
    if (name === undefined) return;
    const value = json.slice(from, at).trim();
    const known = fields.get(name);
    if (known) known.push(value);
    else fields.set(name, [value]);
    name = undefined;
  };
  for (let at = 0; at < json.length; at++) {
    const sign = json.charAt(at);
    if (sign === '"') {
      const end = endOfText(json, at);
      if (depth === 1 && name === undefined) {
        name = JSON.parse(json.slice(at, end)) as string;
        from = json.indexOf(':', end) + 1;
      }
      at = end - 1;
    } else if (sign === '{' || sign === '[') depth += 1;
    else if (sign === ',' && depth === 1) close(at);
    else if (sign === '}' || sign === ']') {
      if (depth === 1) close(at);
      depth -= 1;
    }
  }
  for (const [field, values] of fields) if (values.length < 2) fields.delete(field);
  return fields;
}

/** The place behind the closing quote. */
function endOfText(json: string, start: number): number {
  let at = start;
  for (;;) {
    at = json.indexOf('"', at + 1);
    let slashes = 0;
    while (json[at - 1 - slashes] === '\\') slashes += 1;
    if (slashes % 2 === 0) return at + 1;
  }
}
