import { randomUUID } from 'node:crypto';
import { Client } from 'pg';

/** Puts a run of everything on a connection that another worker seems to be at, for longer than any spec takes. */
export async function longRun(databaseUrl: string, userId: number, connectionId: string): Promise<string> {
  const id = randomUUID();
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(
      `INSERT INTO sync_run (user_id, id, connection_id, mode, trigger, status, resources, started_at, lease, leased_until)
       VALUES ($1, $2, $3, 'full', 'api', 'running',
         '{lists,segments,profiles,memberships,campaigns,metrics,events}', now(), $4, now() + interval '1 day')`,
      [userId, id, connectionId, randomUUID()],
    );
    await client.query(
      `INSERT INTO sync_page (user_id, sync_id, resource, part, window_no, rows, upserted, ms, waited_ms)
       SELECT $1, $2, 'lists', 'all', n, 10, 10, 20, 0 FROM generate_series(1, 2) n`,
      [userId, id],
    );
  } finally {
    await client.end();
  }
  return id;
}
