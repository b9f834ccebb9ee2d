import { setTimeout as wait } from 'node:timers/promises';

/** Looks until it is so. @throws Error that says what did not come to pass */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, ms: number): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await wait(50);
  }
}
