import { Inject, Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError, type ErrorCode } from '../common/errors';
import { ENV, type Env } from '../config/env';
import { MirrorStatesRepository, type StateOf } from './mirror-states.repository';
import type { Resource } from './resources';

type Source = 'auto' | 'live' | 'mirror';

/** Which connection is read. */
interface Readable {
  userId: string | number;
  id: string;
  status: 'active' | 'invalid';
}

/** Where the rows of an answer come from. */
export interface Provenance {
  source: 'live' | 'mirror';
  /** When they were read from Klaviyo. */
  syncedAt: string;
  /** Whether they are older than they should be. */
  stale: boolean;
}

export interface Answers<T> {
  /** Rows of our mirror. */
  mirror: () => Promise<T>;
  /** Rows of Klaviyo, and when it was asked (epoch ms). */
  live: () => Promise<T>;
  /** What the cursor of the page before came from: a walk ends where it began. */
  begunOn?: 'live' | 'mirror' | undefined;
}

/** Klaviyo cannot answer now: what is mirrored is worth more than a refusal. */
const UNANSWERED: ReadonlySet<ErrorCode> = new Set([
  'KLAVIYO_UNAVAILABLE',
  'KLAVIYO_TIMEOUT',
  'KLAVIYO_RATE_LIMITED',
  'KLAVIYO_KEY_INVALID',
  'KLAVIYO_REVISION_RETIRED',
]);

/** Decides whether a read is answered by our mirror or by Klaviyo, as `source` says. */
@Injectable()
export class MirrorService {
  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly states: MirrorStatesRepository,
    private readonly clock: Clock,
  ) {}

  /**
   * @param resources what the answer is made of; its age is that of the oldest
   * @throws AppError NOT_SYNCED for `mirror` before all of them were mirrored once; what `live` throws, unless the
   * mirror can answer in its stead
   */
  async read<T>(
    connection: Readable,
    resources: readonly Resource[],
    source: Source,
    answers: Answers<T>,
  ): Promise<Provenance & { value: T }> {
    if (source === 'live' || (source === 'auto' && answers.begunOn === 'live')) return this.live(answers);
    const syncedAt = oldest(await this.states.of(Number(connection.userId), connection.id), resources);
    if (syncedAt === null) {
      if (source === 'mirror') throw new AppError('NOT_SYNCED');
      return this.live(answers);
    }
    const old = this.clock.now() - syncedAt.getTime() > this.env.mirrorMaxAgeSeconds * 1000;
    const mirrored = async (stale: boolean) => ({
      value: await answers.mirror(),
      source: 'mirror' as const,
      syncedAt: syncedAt.toISOString(),
      stale,
    });
    if (source === 'mirror' || answers.begunOn === 'mirror') return mirrored(old || connection.status === 'invalid');
    if (connection.status === 'invalid') return mirrored(true);
    if (!old) return mirrored(false);
    try {
      return await this.live(answers);
    } catch (error) {
      if (error instanceof AppError && UNANSWERED.has(error.code)) return mirrored(true);
      throw error;
    }
  }

  private async live<T>(answers: Answers<T>): Promise<Provenance & { value: T }> {
    const at = new Date(this.clock.now()).toISOString();
    return { value: await answers.live(), source: 'live', syncedAt: at, stale: false };
  }
}

function oldest(states: ReadonlyMap<Resource, StateOf>, resources: readonly Resource[]): Date | null {
  let least: Date | null = null;
  for (const resource of resources) {
    const state = states.get(resource);
    if (!state) return null;
    if (least === null || state.syncedAt < least) least = state.syncedAt;
  }
  return least;
}
