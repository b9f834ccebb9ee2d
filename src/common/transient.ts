import { AppError } from './errors';

/** After failures on Klaviyo's side. */
const PAUSE_SECONDS = 60;

/** Seconds after which background work is worth another try; null for what will not get better by itself. */
export function pauseAfter(error: AppError): number | null {
  switch (error.code) {
    case 'KLAVIYO_RATE_LIMITED':
      return error.retryAfter ?? 1;
    case 'KLAVIYO_UNAVAILABLE':
    case 'KLAVIYO_TIMEOUT':
    case 'SERVICE_UNAVAILABLE':
      return PAUSE_SECONDS;
    default:
      return null;
  }
}

/** Whether the same work may succeed later although nobody changes anything. */
export function isTransient(error: unknown): boolean {
  return error instanceof AppError && pauseAfter(error) !== null;
}
