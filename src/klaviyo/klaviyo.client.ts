import { Inject, Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { ENV, type Env } from '../config/env';
import type { KlaviyoAccess } from './klaviyo-access';
import type { KlaviyoAnswer, KlaviyoCall, KlaviyoPage, PagesCall } from './klaviyo-call';
import type { Operation } from './operation';
import { revisionToSend, servedAs } from './revisions';

export type { KlaviyoAnswer, KlaviyoCall, KlaviyoPage, PagesCall } from './klaviyo-call';

/** The only code that speaks HTTP to Klaviyo: quota, attempts, retries, errors. It holds no key. */
@Injectable()
export class KlaviyoClient {
  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly clock: Clock,
  ) {}

  /**
   * One operation, with its retries, until an answer or the deadline.
   * @throws AppError and nothing else: a KLAVIYO_… code, a …_NOT_FOUND, CONFLICT or PROFILE_CONFLICT
   */
  call<T>(_access: KlaviyoAccess, operation: Operation, _call: KlaviyoCall = {}): Promise<KlaviyoAnswer<T>> {
    return Promise.reject(new Error(`not built yet: ${operation.name}`));
  }

  /** Page after page, each validated before it is given. @throws AppError as `call`, and for a `next` that is not to be followed */
  // eslint-disable-next-line
  async *pages<A>(_access: KlaviyoAccess, operation: Operation, _call: PagesCall = {}): AsyncGenerator<KlaviyoPage<A>> {
    await Promise.reject(new Error(`not built yet: ${operation.name}`));
  }

  /** The revision that the operation goes out under, and the one that Klaviyo will answer as: bodies are built for `served`. */
  revisionFor(operation: Operation, needs?: string): { sent: string; served: string } {
    const now = this.clock.now();
    const needed = needs !== undefined && needs > operation.since ? needs : operation.since;
    const sent = revisionToSend(this.env.klaviyoApiRevision, needed, now);
    return { sent, served: servedAs(sent, now) };
  }

  /** Told each time an account answers again after transport failures or 5xx. */
  onRecovered(_listener: (accountId: string) => void): void {
    throw new Error('not built yet');
  }

  /** Told of each key that Klaviyo itself refused (a 401 in JSON:API, never an HTML page). */
  onKeyRefused(_listener: (access: KlaviyoAccess) => void | Promise<void>): void {
    throw new Error('not built yet');
  }
}
