import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { BulkWrite } from '../database/bulk-statement';
import { SweepPlace } from '../mirror/sweep-place';
import type { FetchedPage, PageCall, PageRequest, Part, Pass, Syncer } from '../mirror/syncer';
import { Syncers } from '../mirror/syncers';
import { ProfileMirrorRepository, type MirrorRow } from './profile-mirror.repository';
import { ProfileTagsRepository, type TagCount } from './profile-tags.repository';
import { toMirrorRow } from './mirrored-row.klaviyo';
import { ProfilesPagesKlaviyo, type FetchedProfile, type ProfileAxis } from './profiles-pages.klaviyo';

/** What changed while the last pass ran, and a change that Klaviyo shows a minute late. */
const LOOK_BACK_MS = 60_000;

/**
 * Synchronises people: all of them by the time they were created, which never moves; what changed, by the time of the
 * change. Who changes during such a pass moves to the end of the axis, which is open and read last.
 */
@Injectable()
export class ProfilesSyncer implements Syncer<MirrorRow, FetchedProfile>, OnModuleInit {
  readonly resource = 'profiles';
  readonly after = [];
  private readonly place = new SweepPlace();
  /** Counted at the end of a pass that saw everybody. */
  private readonly counted = new WeakMap<Pass, readonly TagCount[]>();

  constructor(
    private readonly syncers: Syncers,
    private readonly profiles: ProfileMirrorRepository,
    private readonly tags: ProfileTagsRepository,
    private readonly atKlaviyo: ProfilesPagesKlaviyo,
  ) {}

  onModuleInit(): void {
    this.syncers.register(this);
  }

  /** The key of the part is the axis that it is read by. */
  parts({ kind, highWater }: Pass): Promise<Part[]> {
    const since = kind === 'incremental' ? highWater : null;
    const axis: ProfileAxis = since === null ? 'created' : 'updated';
    const from = since === null ? null : since.getTime() - LOOK_BACK_MS;
    return Promise.resolve([{ key: axis, divisible: true, span: { from, to: null } }]);
  }

  fetch({ access }: Pass, { part, span, cursor }: PageRequest, call: PageCall): Promise<FetchedPage<FetchedProfile>> {
    return this.atKlaviyo.page(access, axisOf(part), span, { cursor, ...call });
  }

  mapped(rows: readonly FetchedProfile[]): MirrorRow[] {
    return rows.map(toMirrorRow);
  }

  newest({ access }: Pass, part: Part, call: PageCall): Promise<number | null> {
    return this.atKlaviyo.newest(access, axisOf(part.key), call);
  }

  write({ userId, connectionId }: Pass, rows: readonly MirrorRow[]): Promise<number> {
    return this.profiles.upsert(userId, connectionId, rows);
  }

  statements({ userId, connectionId }: Pass, rows: readonly MirrorRow[]): BulkWrite[] {
    return this.profiles.upserts(userId, connectionId, rows);
  }

  /** Tags are counted on the way: the table is large, and most passes see everybody. */
  async unseen(pass: Pass): Promise<{ live: number; unseen: number }> {
    const { live, unseen, tags } = await this.tags.tally(pass.userId, pass.connectionId, pass.startedAt);
    if (unseen === 0) this.counted.set(pass, tags);
    else this.counted.delete(pass);
    return { live, unseen };
  }

  sweep(pass: Pass, limit: number): Promise<number> {
    const { userId, connectionId, startedAt } = pass;
    return this.place.next(pass, (after) => this.profiles.sweep(userId, connectionId, startedAt, after, limit));
  }

  /** Tags are counted once a pass, over all people: nobody waits for it. */
  async finished(pass: Pass): Promise<void> {
    const { userId, connectionId, startedAt } = pass;
    const tags = this.counted.get(pass) ?? (await this.tags.tally(userId, connectionId, startedAt)).tags;
    await this.tags.save(userId, connectionId, tags);
  }

  erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.profiles.erase(userId, connectionIds, limit);
  }
}

function axisOf(part: string): ProfileAxis {
  return part === 'updated' ? 'updated' : 'created';
}
