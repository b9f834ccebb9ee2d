import type { Sandbox } from './sandbox.ts';

/** Lets time pass for what no request wakes: jobs that are due, and with them automatic deliveries. */
export function startTicking(sandbox: Sandbox, everyMs = 50): void {
  setInterval(() => {
    sandbox.settle();
  }, everyMs).unref();
}
