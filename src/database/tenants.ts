/**
 * A step of `WITH RECURSIVE` that lists each connection that has rows of a table, walking from one to the next by the
 * index over `(user_id, connection_id)`: its cost does not grow with the rows of each.
 * @param table as written in our own code, like the rest
 * @param which a condition on its rows, that of the index
 * @param name of the step
 */
export function tenantsIn(table: string, which = 'true', name = 'tenant'): string {
  return `${name} AS (
    (SELECT user_id, connection_id FROM ${table} WHERE ${which} ORDER BY user_id, connection_id LIMIT 1)
    UNION ALL
    SELECT n.user_id, n.connection_id FROM ${name} t CROSS JOIN LATERAL (
      SELECT user_id, connection_id FROM ${table}
      WHERE ${which} AND (user_id, connection_id) > (t.user_id, t.connection_id)
      ORDER BY user_id, connection_id LIMIT 1) n)`;
}
