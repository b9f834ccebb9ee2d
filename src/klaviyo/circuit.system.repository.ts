import { Injectable } from '@nestjs/common';
import { QuotaDatabase } from './quota-database';

/** While the circuit is open nothing is sent. Then one call tries. */
export const OPEN_SECONDS = 5;
/** A probe that was not heard of for so long is given up: its process may be gone. Longer than most attempts. */
export const PROBE_SECONDS = 15;

const NOW = `extract(epoch FROM clock_timestamp())::float8`;

export type CircuitState = 'closed' | 'open' | 'half_open';

/** The circuits that are open, as all replicas see them: the taking of quota asks here whether anything may start. */
@Injectable()
export class CircuitSystemRepository {
  constructor(private readonly database: QuotaDatabase) {}

  /** Opens the circuit of an account, or keeps it open after a probe that failed. */
  async open(accountId: string): Promise<void> {
    await this.database.run(
      'circuit-open',
      `INSERT INTO klaviyo_circuit (account_id, since, open_until) VALUES ($1, clock_timestamp(), ${NOW} + ${OPEN_SECONDS})
       ON CONFLICT (account_id) DO UPDATE SET open_until = excluded.open_until, probe_until = 0`,
      [accountId],
    );
  }

  async close(accountId: string): Promise<void> {
    await this.database.run('circuit-close', `DELETE FROM klaviyo_circuit WHERE account_id = $1`, [accountId]);
  }

  async stateOf(accountId: string): Promise<CircuitState> {
    const [row] = await this.database.run<{ open: boolean }>(
      'circuit-state',
      `SELECT open_until > ${NOW} AND open_until <= ${NOW} + ${OPEN_SECONDS} AS open FROM klaviyo_circuit WHERE account_id = $1`,
      [accountId],
    );
    if (row === undefined) return 'closed';
    return row.open ? 'open' : 'half_open';
  }
}
