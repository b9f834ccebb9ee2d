import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiProduces } from '@nestjs/swagger';

export const TABLE = 'edge:table';

/** A route whose answer is also to be had as CSV: where its rows stand in the payload, and their columns in order. */
export interface Table {
  rows: string;
  /** Dotted paths into a row. */
  columns: readonly string[];
}

/** Answers `Accept: text/csv` too. The columns are the same whatever the rows hold. */
export function AlsoCsv(rows: string, columns: readonly string[]): MethodDecorator {
  return applyDecorators(
    SetMetadata(TABLE, { rows, columns } satisfies Table),
    ApiProduces('application/json', 'text/csv'),
  );
}

/** Rows as CSV (RFC 4180: CRLF, quotes doubled), with a header line. */
export function toCsv(rows: readonly unknown[], columns: readonly string[]): string {
  const lines = [columns.map(cell), ...rows.map((row) => columns.map((column) => cell(at(row, column))))];
  return lines.map((cells) => `${cells.join(',')}\r\n`).join('');
}

function at(row: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, name) => (isRecord(value) && Object.hasOwn(value, name) ? value[name] : undefined), row);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : value instanceof Date ? value.toISOString() : JSON.stringify(value);
  // A spreadsheet takes such a beginning for a formula: the apostrophe makes it a text.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Whether `Accept` wants CSV rather than JSON. */
export function prefersCsv(accept: string | undefined): boolean {
  const weights = new Map<string, number>();
  for (const part of (accept ?? '').slice(0, 500).split(',')) {
    const [type = '', ...params] = part.split(';').map((item) => item.trim().toLowerCase());
    const q = params.map((item) => /^q=([\d.]+)$/.exec(item)?.[1]).find((item) => item !== undefined);
    weights.set(type, q === undefined ? 1 : Number(q));
  }
  const csv = weights.get('text/csv') ?? 0;
  return csv > 0 && csv >= (weights.get('application/json') ?? 0);
}
