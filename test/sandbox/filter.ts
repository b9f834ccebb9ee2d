import { invalidParameter } from './errors.ts';

export type Operator =
  | 'equals'
  | 'any'
  | 'contains'
  | 'contains-any'
  | 'contains-all'
  | 'starts-with'
  | 'ends-with'
  | 'has'
  | 'less-than'
  | 'less-or-equal'
  | 'greater-than'
  | 'greater-or-equal';

export type FieldType = 'string' | 'datetime' | 'boolean' | 'number' | 'epoch';

/** Which operators a field of an endpoint takes, and the type of its value. */
export interface FilterField {
  type: FieldType;
  operators: readonly Operator[];
}
export type FilterFields = Readonly<Record<string, FilterField>>;

export type Scalar = string | number | boolean;

/** One condition; instants are epoch milliseconds. */
export interface Condition {
  field: string;
  operator: Operator;
  values: Scalar[];
}

interface RawValue {
  text: string;
  quoted: boolean;
}
interface RawCondition {
  field: string;
  operator: string;
  values: RawValue[];
  list: boolean;
}

const BAD = 'Invalid filter provided. Please see https://developers.klaviyo.com/en/docs/filtering_';

/** Reads one filter text: conditions joined by commas or wrapped in `and(…)`; there is no OR. */
class Reader {
  private at = 0;
  private readonly text: string;
  private readonly parameter: string;

  constructor(text: string, parameter: string) {
    this.text = text;
    this.parameter = parameter;
  }

  all(): RawCondition[] {
    const out = this.conditions(false);
    if (this.at !== this.text.length) throw this.bad();
    return out;
  }

  private conditions(nested: boolean): RawCondition[] {
    const out: RawCondition[] = [];
    for (;;) {
      this.space();
      const word = this.word();
      if (word === 'or' || word === 'not' || word === '') throw this.bad();
      this.expect('(');
      if (word === 'and') {
        out.push(...this.conditions(true));
        this.expect(')');
      } else out.push(this.condition(word));
      this.space();
      if (this.text[this.at] === ',') {
        this.at += 1;
        continue;
      }
      if (nested || this.at === this.text.length) return out;
      throw this.bad();
    }
  }

  private condition(operator: string): RawCondition {
    this.space();
    const field = this.fieldName();
    if (field === '') throw this.bad();
    this.space();
    if (this.text[this.at] === ')') {
      this.at += 1;
      return { field, operator, values: [], list: false };
    }
    this.expect(',');
    this.space();
    let values: RawValue[];
    let list = false;
    if (this.text[this.at] === '[') {
      list = true;
      this.at += 1;
      values = this.list();
    } else values = [this.value()];
    this.space();
    this.expect(')');
    return { field, operator, values, list };
  }

  private list(): RawValue[] {
    const out: RawValue[] = [];
    this.space();
    if (this.text[this.at] === ']') {
      this.at += 1;
      return out;
    }
    for (;;) {
      this.space();
      out.push(this.value());
      this.space();
      const next = this.text[this.at];
      this.at += 1;
      if (next === ']') return out;
      if (next !== ',') throw this.bad();
    }
  }

  private value(): RawValue {
    const quote = this.text[this.at];
    if (quote === '"' || quote === "'") {
      this.at += 1;
      let out = '';
      while (this.at < this.text.length) {
        const char = this.text[this.at] as string;
        this.at += 1;
        if (char === quote) return { text: out, quoted: true };
        if (char === '\\' && this.at < this.text.length) {
          out += this.text[this.at] as string;
          this.at += 1;
        } else out += char;
      }
      throw this.bad();
    }
    const start = this.at;
    while (this.at < this.text.length && !',)]'.includes(this.text[this.at] as string)) this.at += 1;
    const text = this.text.slice(start, this.at).trim();
    if (text === '') throw this.bad();
    return { text, quoted: false };
  }

  private word(): string {
    const match = /^[A-Za-z_$][\w$.-]*/.exec(this.text.slice(this.at));
    this.at += match?.[0].length ?? 0;
    return match?.[0] ?? '';
  }

  /** Names of event properties hold spaces (`Campaign Name`). */
  private fieldName(): string {
    const match = /^[A-Za-z_$][\w$. -]*/.exec(this.text.slice(this.at));
    this.at += match?.[0].length ?? 0;
    return match?.[0].trimEnd() ?? '';
  }

  private expect(char: string): void {
    if (this.text[this.at] !== char) throw this.bad();
    this.at += 1;
  }

  private space(): void {
    while (this.text[this.at] === ' ') this.at += 1;
  }

  private bad() {
    return invalidParameter(BAD, this.parameter);
  }
}

const INSTANT = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/** Epoch milliseconds of a bare datetime; without an offset it is UTC. NaN when it is none. */
export function parseInstant(text: string): number {
  if (!INSTANT.test(text)) return NaN;
  const zoned = /(Z|[+-]\d{2}:?\d{2})$/.test(text.slice(10));
  const cut = text.replace(/(\.\d{3})\d+/, '$1').replace(/([+-]\d{2})(\d{2})$/, '$1:$2');
  return Date.parse(zoned || text.length === 10 ? cut : `${cut}Z`);
}

/** Parses and checks a filter against what the endpoint allows; every refusal names the parameter. */
export function parseFilter(text: string, fields: FilterFields, parameter = 'filter'): Condition[] {
  return new Reader(text, parameter).all().map((raw) => checkCondition(raw, fields, parameter));
}

function checkCondition(raw: RawCondition, fields: FilterFields, parameter: string): Condition {
  const field = Object.hasOwn(fields, raw.field) ? fields[raw.field] : undefined;
  if (field === undefined) throw invalidParameter(`'${raw.field}' is not a valid filter field.`, parameter);
  const operator = field.operators.find((known) => known === raw.operator);
  if (operator === undefined)
    throw invalidParameter(
      `'${raw.operator}' is not an allowed filter operator for ${raw.field}.  Allowed operators are ${field.operators.join(', ')}`,
      parameter,
    );
  const wantsList = operator === 'any' || operator === 'contains-any' || operator === 'contains-all';
  const valid = operator === 'has' ? raw.values.length === 0 : wantsList === raw.list && raw.values.length > 0;
  if (!valid) throw invalidParameter(BAD, parameter);
  return {
    field: raw.field,
    operator,
    values: raw.values.map((value) => convert(value, field.type, raw.field, parameter)),
  };
}

function convert(value: RawValue, type: FieldType, field: string, parameter: string): Scalar {
  const bad = () => invalidParameter(`Invalid filter value for ${field}.`, parameter);
  switch (type) {
    case 'string':
      if (!value.quoted) throw bad();
      return value.text;
    case 'boolean':
      if (value.quoted || !/^(true|false)$/i.test(value.text)) throw bad();
      return value.text.toLowerCase() === 'true';
    case 'number':
      if (value.quoted || !Number.isFinite(Number(value.text))) throw bad();
      return Number(value.text);
    case 'epoch':
      if (value.quoted || !/^\d+$/.test(value.text)) throw bad();
      return Number(value.text) * 1000;
    case 'datetime': {
      const instant = value.quoted ? NaN : parseInstant(value.text);
      if (Number.isNaN(instant)) throw bad();
      return instant;
    }
  }
}

/** Whether a row's value satisfies a condition. Text compares as it is; e-mails are lower-cased by the caller's field. */
export function satisfies(condition: Condition, value: unknown): boolean {
  const [first] = condition.values;
  switch (condition.operator) {
    case 'has':
      return value !== null && value !== undefined;
    case 'equals':
      return value === first;
    case 'any':
      return condition.values.some((wanted) => wanted === value);
    case 'contains':
      return typeof value === 'string' && value.toLowerCase().includes(String(first).toLowerCase());
    case 'starts-with':
      return typeof value === 'string' && value.toLowerCase().startsWith(String(first).toLowerCase());
    case 'ends-with':
      return typeof value === 'string' && value.toLowerCase().endsWith(String(first).toLowerCase());
    case 'contains-any':
      return Array.isArray(value)
        ? condition.values.some((v) => value.includes(v))
        : condition.values.includes(value as Scalar);
    case 'contains-all':
      return Array.isArray(value) && condition.values.every((v) => value.includes(v));
    case 'less-than':
      return typeof value === 'number' && value < Number(first);
    case 'less-or-equal':
      return typeof value === 'number' && value <= Number(first);
    case 'greater-than':
      return typeof value === 'number' && value > Number(first);
    case 'greater-or-equal':
      return typeof value === 'number' && value >= Number(first);
  }
}

/** Loose bounds that a set of conditions puts on one field, so that a scan may start and stop early. */
export function boundsOf(conditions: readonly Condition[], field: string): { low: number; high: number } {
  let low = -Infinity;
  let high = Infinity;
  for (const { field: name, operator, values } of conditions) {
    const value = values[0];
    if (name !== field || typeof value !== 'number') continue;
    if (operator === 'greater-than' || operator === 'greater-or-equal') low = Math.max(low, value);
    if (operator === 'less-than' || operator === 'less-or-equal') high = Math.min(high, value);
    if (operator === 'equals') [low, high] = [Math.max(low, value), Math.min(high, value)];
  }
  return { low, high };
}
