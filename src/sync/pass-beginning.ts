import { DatabaseError } from '../database/errors';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { StateOf } from '../mirror/mirror-states.repository';
import type { PassKind, Resource } from '../mirror/resources';
import type { Part, Pass, Syncer } from '../mirror/syncer';
import type { NewPass, PassRecord, PassRecordsRepository } from './pass-records.repository';
import type { HeldRun } from './run-leases.repository';
import type { StoredWindow } from './window';

/** A pass that is under way, and what there is to read. */
export interface BegunPass {
  readonly syncer: Syncer;
  readonly record: PassRecord;
  readonly pass: Pass;
  /** What was known of the mirror before it. */
  readonly before: StateOf | undefined;
  /** Undefined where its parts could not be told: whoever reads it finds out why. */
  readonly windows: readonly StoredWindow[] | undefined;
}

/** Resources that change in ways of which Klaviyo gives no account, and are small: every run reads them whole. */
const READ_WHOLE: ReadonlySet<Resource> = new Set(['lists', 'segments', 'campaigns', 'metrics']);

/** Begins the passes of a run, or goes on with them: those that can begin together in one transaction. */
export class PassBeginning {
  constructor(
    private readonly run: HeldRun,
    private readonly access: KlaviyoAccess,
    private readonly states: ReadonlyMap<Resource, StateOf>,
    private readonly syncers: { of(resource: Resource): Syncer },
    private readonly records: PassRecordsRepository,
  ) {}

  /** Inside a transaction that holds the run. */
  async begin(records: readonly PassRecord[]): Promise<BegunPass[]> {
    const { userId, id } = this.run;
    const fresh = records.filter(({ passStartedAt }) => passStartedAt === null).map((record) => this.newPass(record));
    const startedAt = fresh.length > 0 ? await this.records.begin(userId, id, fresh) : new Map<Resource, Date>();
    const passes = records.map((record) => this.passOf(record, record.passStartedAt ?? startedAt.get(record.resource)));
    const parts = new Map<Resource, Part[]>();
    const planned: Resource[] = [];
    for (const { syncer, record, pass } of passes) {
      const its = record.planned ? undefined : await partsOf(syncer, pass);
      if (its) parts.set(record.resource, its);
      if (its || record.planned) planned.push(record.resource);
    }
    if (parts.size > 0) await this.records.plan(userId, id, parts);
    const windows = await this.records.windows(userId, id, planned);
    return passes.map((begun) => ({ ...begun, windows: windows.get(begun.record.resource) }));
  }

  private newPass({ resource }: PassRecord): NewPass {
    const state = this.states.get(resource);
    const kind: PassKind = this.run.mode === 'full' || READ_WHOLE.has(resource) || !state ? 'full' : 'incremental';
    return { resource, kind, expectedRows: kind === 'full' ? (state?.liveRows ?? null) : null };
  }

  private passOf(record: PassRecord, startedAt: Date | undefined): Omit<BegunPass, 'windows'> {
    if (!startedAt) throw new Error('A resource of a run has no row');
    const { userId, connectionId } = this.run;
    const before = this.states.get(record.resource);
    const pass = {
      access: this.access,
      userId,
      connectionId,
      kind: record.passKind ?? this.newPass(record).kind,
      startedAt,
      highWater: before?.highWater ?? null,
      reconciledAt: before?.reconciledAt ?? null,
    };
    return { syncer: this.syncers.of(record.resource), record, pass, before };
  }
}

/** What goes wrong with one resource must not keep the others from beginning; a transaction that failed is all theirs. */
async function partsOf(syncer: Syncer, pass: Pass): Promise<Part[] | undefined> {
  try {
    return await syncer.parts(pass);
  } catch (error) {
    if (error instanceof DatabaseError) throw error;
    return undefined;
  }
}
