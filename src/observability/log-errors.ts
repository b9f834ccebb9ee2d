const MAX_CAUSES = 3;
const MAX_PARTS = 5;

/** What a log line tells of an error. Everything else that hangs on one (request, config, parameters, rows) stays out. */
export interface LoggedError {
  name: string;
  message: string;
  stack?: string;
  code?: string | number;
  status?: number;
  reason?: string;
  sqlState?: string;
  constraint?: string;
  cause?: LoggedError;
  errors?: LoggedError[];
}

type Bag = Readonly<Record<string, unknown>>;

/** An error by allow-list. A driver's error keeps SQLSTATE and constraint only: its text quotes the caller's values. */
export function describeError(error: Error, depth = 0): LoggedError {
  const bag = error as unknown as Bag;
  const database = databaseState(error);
  const message = database ? `statement failed (${database.sqlState ?? 'unknown'})` : error.message;
  const frames = framesOf(error.stack);
  const told: LoggedError = { name: error.name, message };
  if (frames !== '') told.stack = `${error.name}: ${message}\n${frames}`;
  if (database) return { ...told, ...database };
  for (const name of ['code', 'reason', 'sqlState', 'constraint'] as const) {
    const value = bag[name];
    if (typeof value === 'string' && value !== '') told[name] = value;
  }
  if (typeof bag.status === 'number') told.status = bag.status;
  if (error.cause instanceof Error && depth < MAX_CAUSES) told.cause = describeError(error.cause, depth + 1);
  if (Array.isArray(bag.errors) && depth < MAX_CAUSES) {
    const parts = bag.errors.filter((item): item is Error => item instanceof Error).slice(0, MAX_PARTS);
    if (parts.length > 0) told.errors = parts.map((item) => describeError(item, depth + 1));
  }
  return told;
}

/** TypeORM's QueryFailedError and the driver's own error, recognised by shape so that no copy of a class is missed. */
function databaseState(error: Error): { sqlState?: string; constraint?: string } | undefined {
  const bag = error as unknown as Bag;
  const wrapped = error.name === 'QueryFailedError';
  const driver = wrapped && isBag(bag.driverError) ? bag.driverError : bag;
  if (!wrapped && !('severity' in bag && 'routine' in bag)) return undefined;
  const state: { sqlState?: string; constraint?: string } = {};
  if (typeof driver.code === 'string') state.sqlState = driver.code;
  if (typeof driver.constraint === 'string') state.constraint = driver.constraint;
  return state;
}

function isBag(value: unknown): value is Bag {
  return typeof value === 'object' && value !== null;
}

function framesOf(stack: string | undefined): string {
  return (stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .join('\n');
}
