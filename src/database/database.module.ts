import { setTimeout as wait } from 'node:timers/promises';
import { Global, Logger, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { ENV, type Env } from '../config/env';
import { isDatabaseDown } from './errors';
import { migrate } from './migrate';
import { dataSourceOptions } from './options';
import { Db } from './scope';

const START_TRIES = 10;
const START_PAUSE_MS = 1000;

/** Connects, migrates first where asked to. A database that is still starting is waited for, for ten seconds. */
async function connect(env: Env, dataSource: DataSource): Promise<DataSource> {
  const logger = new Logger('Database');
  for (let attempt = 1; ; attempt++) {
    try {
      if (env.migrateOnStart) await migrate(env.databaseDirectUrl, env.databaseUrl);
      return await dataSource.initialize();
    } catch (error) {
      if (!isDatabaseDown(error) || attempt >= START_TRIES) throw error;
      logger.warn(`PostgreSQL cannot be reached yet (try ${attempt} of ${START_TRIES})`);
      await wait(START_PAUSE_MS);
    }
  }
}

@Global()
@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      inject: [ENV],
      useFactory: (env: Env) => ({
        ...dataSourceOptions(env.databaseUrl, env.databasePoolSize),
        autoLoadEntities: true,
        retryAttempts: 0,
        env,
      }),
      dataSourceFactory: async (options) => {
        if (!options) throw new Error('The database options are missing');
        const { env, ...rest } = options as typeof options & { env: Env };
        return connect(env, new DataSource(rest));
      },
    }),
  ],
  providers: [Db],
  exports: [Db],
})
export class DatabaseModule {}
