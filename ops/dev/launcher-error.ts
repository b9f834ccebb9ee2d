/** A failure told to a person: one sentence that says what happened and what to do; printed without a stack. */
export class LauncherError extends Error {
  override readonly name = 'LauncherError';
}

/** The code of a system error (`EACCES`), of PostgreSQL (`57P03`) or an empty string. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** What an unknown thrown value says, in one line. */
export function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).trim();
}
