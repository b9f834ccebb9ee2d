import { QueryFailedError } from 'typeorm';

/**
 * What is left of a failed statement: SQLSTATE, constraint and whether the database is out of reach.
 * The driver's own error holds parameters and PostgreSQL's detail holds rows, both personal data: neither leaves the door.
 */
export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  constructor(
    readonly sqlState: string | undefined,
    readonly constraint: string | undefined,
    readonly down: boolean,
    reason: string,
  ) {
    super(reason);
  }
}

/** SQLSTATE classes and codes that mean "not now": connection lost, shutting down, no slot left, read-only after a failover. */
const DOWN_STATES = /^(08...|57P0[1-5]|53...|25006)$/;
const DOWN_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
]);
const DOWN_TEXTS =
  /connection terminated|timeout exceeded when trying to connect|client has encountered a connection error|cannot use a pool after calling end|not queryable|connection ended/i;

interface Driver {
  code?: unknown;
  constraint?: unknown;
  message?: unknown;
  errors?: unknown;
}

/** Turns whatever a statement threw into a DatabaseError; anything that is not the database's passes unchanged. */
export function fromDriver(error: unknown): unknown {
  const wrapped = error instanceof QueryFailedError ? (error.driverError as unknown) : error;
  if (typeof wrapped !== 'object' || wrapped === null) return error;
  const driver = wrapped as Driver;
  const first = Array.isArray(driver.errors) ? (driver.errors[0] as Driver | undefined) : undefined;
  const code = [driver.code, first?.code].find((item) => typeof item === 'string');
  const text = typeof driver.message === 'string' ? driver.message : '';
  const down = (code !== undefined && (DOWN_STATES.test(code) || DOWN_CODES.has(code))) || DOWN_TEXTS.test(text);
  if (!down && !(error instanceof QueryFailedError)) return error;
  const sqlState = code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
  const constraint = typeof driver.constraint === 'string' ? driver.constraint : undefined;
  const reason = down
    ? `database out of reach (${code ?? 'connection lost'})`
    : `statement failed (${sqlState ?? 'unknown'})`;
  return new DatabaseError(sqlState, constraint, down, reason);
}

/** Whether the failure means that the database cannot be reached now and the same call may work later. */
export function isDatabaseDown(error: unknown): boolean {
  const known = fromDriver(error);
  return known instanceof DatabaseError && known.down;
}

/** Deadlock and serialisation failures: PostgreSQL asks to repeat the whole transaction. */
export function isRepeatable(error: unknown): boolean {
  return error instanceof DatabaseError && (error.sqlState === '40P01' || error.sqlState === '40001');
}
