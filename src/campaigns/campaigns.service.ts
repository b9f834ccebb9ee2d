import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError, invalid } from '../common/errors';
import { Cursors, DEFAULT_LIMIT, type CursorBinding, type Pagination } from '../common/page';
import { ALL_ROWS, type ReadPage } from '../common/read.dto';
import { currentContext } from '../common/request-context';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { MirrorService, type Provenance } from '../mirror/mirror.service';
import { campaignNotFound, mustBeId, type Campaign } from './campaign';
import { CampaignEngagementService, type Engagement } from './campaign-engagement.service';
import { CampaignFiguresService } from './campaign-figures.service';
import type { CampaignStats } from './campaign-stats';
import {
  bindingOf,
  type CampaignsInput,
  type CampaignsPage,
  type CampaignWithStats,
  type LivePosition,
  type MirrorPosition,
} from './campaigns-input';
import { LiveCampaigns } from './live-campaigns';
import { MirroredCampaigns } from './mirrored-campaigns';

type Position = LivePosition | MirrorPosition;
type OneInput = Pick<CampaignsInput, 'connectionId' | 'includeStats' | 'source'>;

/** One campaign, where it comes from, and what was heard of it since its figures were computed. */
export interface OneCampaign extends Provenance {
  campaign: CampaignWithStats;
  engagement?: Engagement | null;
}

/** Campaigns of a connected account, from our mirror or from Klaviyo as `source` says. */
@Injectable()
export class CampaignsService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly mirror: MirrorService,
    private readonly mirrored: MirroredCampaigns,
    private readonly live: LiveCampaigns,
    private readonly figures: CampaignFiguresService,
    private readonly engagement: CampaignEngagementService,
    private readonly cursors: Cursors,
  ) {}

  /**
   * Newest first, then by id.
   * @throws AppError CONNECTION_NOT_FOUND; VALIDATION_FAILED `cursor`; NOT_SYNCED for `source=mirror`; KLAVIYO_…
   */
  async page(scope: UserScope, input: CampaignsInput): Promise<ReadPage<CampaignWithStats>> {
    const { cursor, source = 'auto' } = input;
    const limit = input.limit ?? (cursor === undefined ? ALL_ROWS : DEFAULT_LIMIT);
    const quick = await this.firstPage(scope, input, limit);
    if (quick) return quick;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = bindingOf(scope.userId, connection.id, input);
    const from = this.cursors.decode(binding, cursor) as Position | undefined;
    const { value, ...where } = await this.mirror.read<CampaignsPage<Position>>(connection, ['campaigns'], source, {
      mirror: () => this.mirrored.page(connection, input, limit, from && mirrorPosition(from)),
      live: () => this.live.page(connection, input, limit, from && livePosition(from)),
      ...(from ? { begunOn: 'place' in from ? 'mirror' : 'live' } : {}),
    });
    const { rows, readAt } = value;
    return {
      rows: [...(await this.renewed(connection, input, where, rows))],
      pagination: this.pagination(binding, limit, value),
      ...where,
      syncedAt: readAt === null ? where.syncedAt : new Date(readAt).toISOString(),
    };
  }

  /**
   * One campaign. One that the mirror does not know yet is asked of Klaviyo, where `source` allows.
   * @throws AppError CONNECTION_NOT_FOUND, CAMPAIGN_NOT_FOUND, NOT_SYNCED for `source=mirror`, KLAVIYO_…
   */
  async one(scope: UserScope, id: string, input: OneInput): Promise<OneCampaign> {
    const { source = 'auto' } = input;
    const includeStats = input.includeStats === true;
    const connection = await this.connections.resolve(scope, input.connectionId);
    mustBeId(id);
    let failure: unknown;
    const live = async () => {
      try {
        return await this.live.one(connection, id, includeStats);
      } catch (error) {
        failure = error;
        throw error;
      }
    };
    const mirror = () => this.mirrored.one(connection, id, includeStats);
    let found = await this.mirror.read<CampaignWithStats | null | undefined>(connection, ['campaigns'], source, {
      mirror,
      live,
    });
    if (found.value === undefined && source === 'auto' && failure === undefined)
      found = await this.mirror.read(connection, [], 'live', { mirror, live });
    const { value, ...where } = found;
    if (!value) throw failure instanceof AppError ? failure : campaignNotFound(id);
    const [campaign = value] = await this.renewed(connection, input, where, [value]);
    if (!includeStats) return { campaign, ...where };
    return { campaign, engagement: await this.engagement.of(connection, campaign), ...where };
  }

  /** What is asked most, in one statement: a first page that the mirror answers by itself. Else undefined. */
  private async firstPage(
    { userId }: UserScope,
    input: CampaignsInput,
    limit: number,
  ): Promise<ReadPage<CampaignWithStats> | undefined> {
    const { source = 'auto', includeStats = false } = input;
    if (source === 'live' || input.cursor !== undefined || (includeStats && source === 'auto')) return undefined;
    const first = await this.mirrored.first(userId, input, limit);
    const where = first && this.mirror.knows(first.connection.status, first.syncedAt, source);
    if (!first || !where) return undefined;
    const { connection, page } = first;
    const context = currentContext();
    if (context) context.connectionId = connection.id;
    if (includeStats && connection.status === 'active') await this.figures.wanted(connection, page.rows);
    const binding = bindingOf(userId, connection.id, input);
    return { rows: [...page.rows], pagination: this.pagination(binding, limit, page), ...where };
  }

  private pagination(
    binding: CursorBinding,
    limit: number,
    { next, total }: Pick<CampaignsPage<Position>, 'next' | 'total'>,
  ): Pagination {
    return {
      limit,
      nextCursor: next === null ? null : this.cursors.encode(binding, next),
      ...(total === null ? {} : { total }),
    };
  }

  /** Figures that the mirror knew, refreshed where Klaviyo may be asked now; what was read live is fresh already. */
  private async renewed(
    connection: Connection,
    { includeStats, source }: OneInput,
    where: Provenance,
    rows: readonly CampaignWithStats[],
  ): Promise<readonly CampaignWithStats[]> {
    if (includeStats !== true || where.source === 'live' || connection.status === 'invalid') return rows;
    if (source === 'mirror' || where.stale) {
      await this.figures.wanted(connection, rows);
      return rows;
    }
    const counted = rows.map((row): Campaign & { stats: CampaignStats | null } => ({
      ...row,
      stats: row.stats ?? null,
    }));
    return this.figures.renewed(connection, await this.connections.accessOf(connection), counted);
  }
}

/** A walk ends where it began: a place in our mirror is none at Klaviyo, nor the other way round. */
function mirrorPosition(from: Position): MirrorPosition {
  if ('place' in from) return from;
  throw invalid('cursor', 'badCursor');
}

function livePosition(from: Position): LivePosition {
  if ('created' in from) return from;
  throw invalid('cursor', 'badCursor');
}
