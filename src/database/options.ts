import type { DataSourceOptions } from 'typeorm';
import { migrations } from '../../migrations';

/** How every connection of the service to PostgreSQL is made. Never `synchronize`: the schema is what the migrations say. */
export function dataSourceOptions(url: string, poolSize = 10): Extract<DataSourceOptions, { type: 'postgres' }> {
  return {
    type: 'postgres',
    url,
    synchronize: false,
    migrations,
    migrationsTableName: 'schema_migration',
    migrationsTransactionMode: 'each',
    // Statements carry users' data: TypeORM's own logger stays off, the door in scope.ts reports failures without it.
    logging: false,
    poolSize,
    applicationName: 'klaviyo-service',
    extra: {
      connectionTimeoutMillis: 3000,
      idleTimeoutMillis: 30_000,
      keepAlive: true,
      // What needs no answer of the statement before it is sent at once, e.g. the first one of a transaction.
      pipeline: true,
    },
  };
}
