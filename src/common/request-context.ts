import { AsyncLocalStorage } from 'node:async_hooks';
import type { Language } from './messages';

/** What is known of the call (or job) under way. Mutable: the guard adds the user, the connection resolver the connection. */
export interface RequestContext {
  requestId: string;
  language: Language;
  /** Epoch milliseconds by which the caller must have an answer, retries and waiting included. */
  deadline: number;
  userId?: number;
  connectionId?: string;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs `work` (and everything it awaits) under `context`. */
export function runInContext<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}

/** The context of the call under way; undefined outside calls and jobs. */
export function currentContext(): RequestContext | undefined {
  return storage.getStore();
}
