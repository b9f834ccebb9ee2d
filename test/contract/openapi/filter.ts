/** A condition of a filter: `equals(email,"a@b.fr")`. */
export interface Condition {
  operator: string;
  field: string;
  values: { text: string; kind: 'text' | 'bare' }[];
  list: boolean;
}

/** Reads filter expressions by Klaviyo's published grammar; written apart from the service and the sandbox on purpose. */
class FilterReader {
  private at = 0;

  constructor(private readonly source: string) {}

  conditions(): Condition[] {
    const found = [this.condition()];
    while (this.at < this.source.length) {
      this.take(',');
      found.push(this.condition());
    }
    return found;
  }

  private condition(): Condition {
    const operator = this.word(/[a-z-]/);
    this.take('(');
    const field = this.word(/[\w.$-]/);
    this.take(',');
    const list = this.source[this.at] === '[';
    const values = list ? this.list() : [this.value()];
    this.take(')');
    return { operator, field, values, list };
  }

  private list(): Condition['values'] {
    this.take('[');
    const values = [this.value()];
    while (this.source[this.at] === ',') {
      this.take(',');
      values.push(this.value());
    }
    this.take(']');
    return values;
  }

  private value(): Condition['values'][number] {
    const quote = this.source[this.at];
    if (quote !== '"' && quote !== "'") return { text: this.word(/[\w.:+-]/), kind: 'bare' };
    this.at++;
    let text = '';
    while (this.source[this.at] !== quote) {
      if (this.at >= this.source.length) throw new Error(`${this.source} ends within a text`);
      if (this.source[this.at] === '\\') this.at++;
      text += this.source[this.at++] ?? '';
    }
    this.at++;
    return { text, kind: 'text' };
  }

  private word(letter: RegExp): string {
    const from = this.at;
    while (this.at < this.source.length && letter.test(this.source[this.at] ?? '')) this.at++;
    if (this.at === from) throw new Error(`${this.source} has nothing at ${from} where a name or value is due`);
    return this.source.slice(from, this.at);
  }

  private take(sign: string): void {
    if (this.source[this.at] !== sign)
      throw new Error(`${this.source} has "${this.source[this.at] ?? ''}" at ${this.at} where "${sign}" is due`);
    this.at++;
  }
}

/** The conditions of a filter, which are all to be met. @throws Error where it is none */
export function readFilter(expression: string): Condition[] {
  return new FilterReader(expression).conditions();
}

/** Fields that a filter may name and the operators that each takes, from the description of the parameter. */
export function allowedFilters(description: string): ReadonlyMap<string, readonly string[]> {
  const fields = new Map<string, readonly string[]>();
  const [, list = ''] = description.split('Allowed field(s)/operator(s):');
  for (const line of list.split('<br>')) {
    const [, field, operators] = /^\s*`([^`]+)`\s*:\s*(.+)$/.exec(line) ?? [];
    if (field === undefined || operators === undefined) continue;
    fields.set(
      field,
      [...operators.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
    );
  }
  return fields;
}
