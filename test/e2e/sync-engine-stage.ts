import type { SandboxAccountOptions } from '../support/sandbox';
import { differences } from '../support/mirror-digest';
import { API, openStage, until, type Reader, type ReadsStage } from './reads-stage';

/** A resource of a run, as callers see it. */
export interface ShownResource {
  resource: string;
  status: string;
  fetched: number;
  upserted: number;
  deleted: number;
  pages: number;
  requests: number;
  throttled: number;
  error: { code: string } | null;
}

/** A run, as callers see it. */
export interface ShownSync {
  id: string;
  mode: string;
  status: string;
  progress: { percent: number | null; resources: ShownResource[] };
  quota: { floorSeconds: number | null; percentOfFloor: number | null };
  error: { code: string } | null;
}

/** What a spec asks a run for. */
export interface Wanted {
  resources?: string[];
  mode?: 'full' | 'incremental';
}

const OVER = ['succeeded', 'partial', 'failed', 'cancelled'];

/** The service, the sandbox, and runs begun and waited for as a caller would. */
export interface SyncStage extends ReadsStage {
  someone(account?: SandboxAccountOptions): Promise<Reader>;
  begin(reader: Reader, wanted?: Wanted): Promise<string>;
  look(reader: Reader, id: string): Promise<ShownSync>;
  over(reader: Reader, id: string, ms?: number): Promise<ShownSync>;
  /** Begins and waits for the end. */
  sync(reader: Reader, wanted?: Wanted): Promise<ShownSync>;
  differences(reader: Reader, resources?: readonly string[]): ReturnType<typeof differences>;
}

export async function openSyncStage(options: Parameters<typeof openStage>[0] = {}): Promise<SyncStage> {
  const stage = await openStage(options);
  let user = 7000;
  const begin: SyncStage['begin'] = async (reader, wanted = {}) => {
    const { status, body, text } = await stage.app.http
      .post(`${API}/sync`)
      .set(stage.app.asService)
      .send({ userId: reader.userId, ...wanted });
    if (status !== 202) throw new Error(`sync: ${status} ${text}`);
    return body.sync.id as string;
  };
  const look: SyncStage['look'] = async (reader, id) => (await reader.get(`/sync/${id}`)).body.sync as ShownSync;
  const over: SyncStage['over'] = (reader, id, ms = 60_000) =>
    until(
      () => look(reader, id),
      ({ status }) => OVER.includes(status),
      ms,
    );
  return {
    ...stage,
    begin,
    look,
    over,
    someone: (account = {}) => stage.connect(++user, account),
    sync: async (reader, wanted) => over(reader, await begin(reader, wanted)),
    differences: ({ userId, connectionId, account }, resources) =>
      differences({ sql: stage.sql, sandbox: stage.sandbox, userId, connectionId, accountId: account.id }, resources),
  };
}

export function resourceOf(sync: ShownSync, resource: string): ShownResource {
  const found = sync.progress.resources.find((one) => one.resource === resource);
  if (!found) throw new Error(`the run has no ${resource}`);
  return found;
}
