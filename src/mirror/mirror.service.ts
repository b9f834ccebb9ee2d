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
    const at = (stale: boolean) => ({ source: 'mirror' as const, syncedAt: syncedAt.toISOString(), stale });
    const mirrored = async (provenance: Provenance) => ({ value: await answers.mirror(), ...provenance });
    const known = this.knows(connection.status, syncedAt, answers.begunOn === 'mirror' ? 'mirror' : source);
    if (known) return mirrored(known);
    try {
      return await this.live(answers);
    } catch (error) {
      if (error instanceof AppError && UNANSWERED.has(error.code)) return mirrored(at(true));
      throw error;
    }
  }

  /**
   * What a mirror of that age answers by itself; undefined where Klaviyo is to be asked.
   * @param syncedAt when the oldest resource of the answer was last synchronised
   */
  knows(status: Readable['status'], syncedAt: Date, source: Source): Provenance | undefined {
    if (source === 'live') return undefined;
    const old = this.clock.now() - syncedAt.getTime() > this.env.mirrorMaxAgeSeconds * 1000;
    const invalid = status === 'invalid';
    if (source === 'auto' && old && !invalid) return undefined;
    return { source: 'mirror', syncedAt: syncedAt.toISOString(), stale: old || invalid };
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
