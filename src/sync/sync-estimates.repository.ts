import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { Resource } from '../mirror/resources';
import { estimateOf, type LastCost } from './sync-estimate';
import type { SyncEstimate } from './sync-run.entity';
import type { SyncScope } from './sync-scope';

/** Read whole in every run, whatever its mode. */
const WHOLE: ReadonlySet<Resource> = new Set(['lists', 'segments', 'campaigns', 'metrics']);

/** What runs cost so far; each statement bound to its user. */
@Injectable()
export class SyncEstimatesRepository {
  constructor(private readonly db: Db) {}

  /** What a run of that scope is expected to cost. */
  async of(userId: number, connectionId: string, { mode, resources }: SyncScope): Promise<SyncEstimate> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ cost: LastCost }>(
        manager,
        `SELECT last.cost FROM unnest($3::text[], $4::text[]) AS wanted (resource, kind)
         LEFT JOIN LATERAL (
           SELECT jsonb_build_object('operations', f.requests_by_operation,
             'seconds', greatest(0, extract(epoch FROM f.finished_at - f.started_at))) AS cost
           FROM sync_run r JOIN sync_resource f ON f.user_id = r.user_id AND f.sync_id = r.id
           WHERE r.user_id = $1 AND r.connection_id = $2 AND f.resource = wanted.resource
             AND f.pass_kind = wanted.kind AND f.status = 'succeeded' AND f.finished_at >= f.started_at
           ORDER BY r.created_at DESC LIMIT 1) last ON true`,
        [userId, connectionId, resources, resources.map((resource) => (WHOLE.has(resource) ? 'full' : mode))],
      ),
    );
    return estimateOf(rows.map(({ cost }) => cost));
  }
}
