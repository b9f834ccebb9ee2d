import { Client } from 'pg';
import { v7 as uuidv7 } from 'uuid';

/**
 * Puts two received events on a connection, and another worker at its lane for longer than any spec takes, so that what
 * is to be worked off stays as it is. @returns the older one's id
 */
export async function receivedRows(databaseUrl: string, userId: number, connectionId: string): Promise<string> {
  const ids = [uuidv7(), uuidv7()];
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(
      `INSERT INTO webhook_lane (user_id, connection_id, lease, leased_until)
       VALUES ($1, $2, gen_random_uuid(), now() + interval '1 day')`,
      [userId, connectionId],
    );
    await client.query(
      `INSERT INTO received_event (user_id, connection_id, id, external_id, webhook_id, delivery_id, topic, profile_id,
         properties, occurred_at)
       SELECT $1, $2, id, 'ev' || n, gen_random_uuid(), gen_random_uuid(), 'event:api.placed_order', '01SOMEBODY',
         '{"total": 3}', now() FROM unnest($3::uuid[]) WITH ORDINALITY AS e (id, n)`,
      [userId, connectionId, ids],
    );
  } finally {
    await client.end();
  }
  return ids[0] ?? '';
}
