import { describeError } from './log-errors';
import { REDACTED, type Redactor } from './redaction';

const MAX_DEPTH = 8;
const MAX_VALUES = 300;
const MAX_TEXT = 8000;
const MAX_REMEMBERED_NAMES = 5000;

/** Names whose value is a secret, personal data, or a whole message of somebody else. */
const SENSITIVE =
  /authori[sz]ation|cookie|secret|token|passw|pwd|credential|private|jwt|signature|key|e-?mail|phone|(?:first|last|full)_?name|address|birth|body|headers|query|parameters|properties|custom_?attributes|event_?data|payload/i;
/** Names that sound like it and are needed to find a fault; their values are ids and verdicts. */
const HARMLESS = new Set(['keyId', 'currentKeyId', 'maskedKey', 'tokenKind']);
/** Addresses keep their path; a query may hold anything. */
const ADDRESS = /^(?:url|uri|href|path|instance|location)$/i;

/**
 * Copies the fields of a log line with everything sensitive taken out by name, at any depth. Errors become their
 * allow-listed description. Bounded in depth, number and length, so that a whole request logged by mistake costs little.
 */
export class FieldFilter {
  private readonly names = new Map<string, boolean>();

  constructor(private readonly redactor: Redactor) {}

  filter(fields: Record<string, unknown>): Record<string, unknown> {
    return this.object(fields, { left: MAX_VALUES, path: [] });
  }

  private object(source: object, walk: Walk): Record<string, unknown> {
    const copy: Record<string, unknown> = {};
    walk.path.push(source);
    for (const [name, value] of Object.entries(source)) {
      if (walk.left-- <= 0) {
        copy['…'] = 'more fields left out';
        break;
      }
      copy[name] = this.named(name, value, walk);
    }
    walk.path.pop();
    return copy;
  }

  private named(name: string, value: unknown, walk: Walk): unknown {
    if (value === undefined || value === null || typeof value === 'boolean') return value;
    if (this.isSensitive(name)) return REDACTED;
    if (typeof value === 'string' && ADDRESS.test(name)) return this.text(value.replace(/[?#].*$/s, ''));
    return this.value(value, walk);
  }

  private value(value: unknown, walk: Walk): unknown {
    switch (typeof value) {
      case 'string':
        return this.text(value);
      case 'bigint':
        return value.toString();
      case 'function':
      case 'symbol':
        return undefined;
      case 'object':
        return value === null ? null : this.composite(value, walk);
      case 'number':
      case 'boolean':
      case 'undefined':
        return value;
    }
  }

  private composite(value: object, walk: Walk): unknown {
    if (value instanceof Error) return this.object(describeError(value), walk);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    if (value instanceof URL) return `${value.origin}${value.pathname}`;
    if (walk.path.includes(value)) return '[circular]';
    if (walk.path.length >= MAX_DEPTH) return '[too deep]';
    if (value instanceof Map || value instanceof Set) return `[${value.size} entries]`;
    if (!Array.isArray(value)) return this.object(value, walk);
    const items: unknown[] = [];
    walk.path.push(value);
    for (const item of value) {
      if (walk.left-- <= 0) {
        items.push('…');
        break;
      }
      items.push(this.value(item, walk));
    }
    walk.path.pop();
    return items;
  }

  /** A long text is cleaned before it is cut: a cut through a secret would leave a half that no pattern knows. */
  private text(text: string): string {
    return text.length <= MAX_TEXT ? text : `${this.redactor.clean(text).slice(0, MAX_TEXT)}…`;
  }

  private isSensitive(name: string): boolean {
    const known = this.names.get(name);
    if (known !== undefined) return known;
    const verdict = SENSITIVE.test(name) && !HARMLESS.has(name);
    if (this.names.size < MAX_REMEMBERED_NAMES) this.names.set(name, verdict);
    return verdict;
  }
}

interface Walk {
  /** Values that may still be copied. */
  left: number;
  /** The objects above the one in hand. */
  path: object[];
}
