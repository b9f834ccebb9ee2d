import type { Server } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { INestApplication } from '@nestjs/common';
import { Drain } from '../common/drain';
import { OpenCalls } from './open-calls';

export interface StopTimes {
  /** How long open calls may go on. */
  callsMs: number;
  /** How long the answers to the rest may take to leave. */
  flushMs: number;
  /** How long the modules may take to close (jobs go back, connections end). */
  closeMs: number;
}

/** Ten seconds in all, less a little. */
const TIMES: StopTimes = { callsMs: 8_000, flushMs: 300, closeMs: 1_500 };

/**
 * Ends the service in order: not ready, no new connection, open calls finish, those that take longer get 503 with
 * `Retry-After`, then the modules close. Resolves within the sum of the times, whatever hangs.
 */
export async function stopService(app: INestApplication, times: StopTimes = TIMES): Promise<void> {
  const calls = app.get(OpenCalls);
  app.get(Drain).begin();
  // Takes no new connection and ends the idle ones; those at work end with their answer.
  (app.getHttpServer() as Server).close();
  await calls.settled(times.callsMs);
  calls.refuseRest();
  await calls.settled(times.flushMs);
  await Promise.race([app.close(), wait(times.closeMs, undefined, { ref: false })]);
}
