import { DataSource } from 'typeorm';
import { dataSourceOptions } from '../../src/database/options';
import { Db } from '../../src/database/scope';
import { createDatabase } from './database';

/** An empty database and the service's door to it, without the service. */
export interface BareDatabase {
  source: DataSource;
  db: Db;
  drop(): Promise<void>;
}

/** @param lines connections of the pool */
export async function openBareDatabase(lines: number): Promise<BareDatabase> {
  const database = await createDatabase({ empty: true });
  const source = await new DataSource(dataSourceOptions(database.url, lines)).initialize();
  const drop = async (): Promise<void> => {
    await source.destroy();
    await database.drop();
  };
  return { source, db: new Db(source), drop };
}
