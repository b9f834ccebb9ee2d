// The least that can answer a read: Fastify, a pool of pg, one statement, its rows as JSON. Started by bench-reads.ts with
// the statements as JSON: `/0` runs the first of them.
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import type { Statement } from './statements-worker.ts';

const require = createRequire(import.meta.url);
const { fastify } = require('fastify') as typeof import('fastify');
const { Pool } = require('pg') as typeof import('pg');
/** As many as the service has. */
const POOL = 10;

const pool = new Pool({ connectionString: process.env['DATABASE_URL'], max: POOL });
const server = fastify();
for (const [index, { sql, params }] of (JSON.parse(process.argv[2] ?? '[]') as Statement[]).entries())
  server.get(`/${index}`, async () => ({ rows: (await pool.query(sql, [...params])).rows as unknown[] }));
server.listen({ port: 0, host: '127.0.0.1' }).then(
  () => process.send?.((server.server.address() as AddressInfo).port),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
process.once('disconnect', () => process.exit(0));
