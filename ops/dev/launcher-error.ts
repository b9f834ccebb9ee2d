/** A failure told to a person: one sentence that says what happened and what to do; printed without a stack. */
export class LauncherError extends Error {
  override readonly name = 'LauncherError';
}

/**
 * The code of a system error (`EACCES`), of PostgreSQL (`57P03`) or an empty string. Looks at the shape, since jest
 * gives specs another `Error` than the one that Node's own modules throw.
 */
export function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : '';
}

/** What an unknown thrown value says, in one line. */
export function messageOf(error: unknown): string {
  const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : error;
  return String(message).trim();
}
