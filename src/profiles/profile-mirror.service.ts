import { Injectable, Logger } from '@nestjs/common';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { ProfileMirrorRepository, type MirrorRow } from './profile-mirror.repository';
import { ProfilesPagesKlaviyo } from './profiles-pages.klaviyo';

/** People that Klaviyo is asked for in one call. */
const A_CALL = 100;

export interface RefreshCall {
  /** Epoch milliseconds. */
  deadline?: number;
  priority?: 'interactive' | 'background';
}

/** Keeps mirrored people up to date between passes: after our own writes, and when Klaviyo tells of somebody. */
@Injectable()
export class ProfileMirrorService {
  private readonly logger = new Logger('ProfileMirror');

  constructor(
    private readonly rows: ProfileMirrorRepository,
    private readonly atKlaviyo: ProfilesPagesKlaviyo,
  ) {}

  /**
   * Reads people anew, a hundred a call; whom Klaviyo knows no more is marked as gone: of a merge, ask for both. Each
   * hundred is kept before the next is asked for, so that what fails in the middle may be asked again.
   * @param ids in any number; the same id may come more than once
   * @returns ids of those who are gone
   * @throws AppError KLAVIYO_… as Klaviyo answers
   */
  async refresh(access: KlaviyoAccess, ids: readonly string[], call: RefreshCall = {}): Promise<string[]> {
    const { userId, connectionId } = access;
    const wanted = [...new Set(ids)];
    const gone: string[] = [];
    for (let from = 0; from < wanted.length; from += A_CALL) {
      const asked = wanted.slice(from, from + A_CALL);
      const found = await this.atKlaviyo.byIds(access, asked, { priority: 'background', ...call });
      await this.rows.keep(userId, connectionId, found);
      const known = new Set(found.map(({ id }) => id));
      const unknown = asked.filter((id) => !known.has(id));
      await this.rows.markGone(userId, connectionId, unknown);
      gone.push(...unknown);
    }
    return gone;
  }

  /** Klaviyo showed somebody. What it did is not undone because our copy could not be kept: the next pass has them. */
  async saw(access: KlaviyoAccess, row: MirrorRow): Promise<void> {
    await this.kept(access, () => this.rows.keep(access.userId, access.connectionId, [row]));
  }

  /** Klaviyo knows nobody of this id. */
  async missed(access: KlaviyoAccess, id: string): Promise<void> {
    await this.kept(access, () => this.rows.markGone(access.userId, access.connectionId, [id]));
  }

  private async kept(access: KlaviyoAccess, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: 'a mirrored person was not updated', connectionId: access.connectionId, reason });
    }
  }
}
