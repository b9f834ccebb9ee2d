import { Inject, Injectable } from '@nestjs/common';
import { Gauge } from 'prom-client';
import { DataSource } from 'typeorm';
import { ENV, type Env } from '../config/env';
import { serviceVersion } from './build-info';
import { Metrics } from './metrics';

/** The part of pg's Pool that is read; TypeORM hands its pool out untyped. */
interface PgPool {
  totalCount: number;
  idleCount: number;
  waitingCount: number;
}

/** What is running, and how its database pool stands at the moment of a scrape. */
@Injectable()
export class RuntimeMetrics {
  constructor(metrics: Metrics, dataSource: DataSource, @Inject(ENV) env: Env) {
    const registers = [metrics.registry];
    new Gauge({
      name: 'klaviyo_service_info',
      help: 'Always 1: the version, runtime, environment and role that are running',
      labelNames: ['version', 'node', 'environment', 'role'],
      registers,
    }).set({ version: serviceVersion(), node: process.version, environment: env.nodeEnv, role: env.role }, 1);
    new Gauge({
      name: 'database_pool_connections',
      help: 'Connections of the database pool, by state',
      labelNames: ['state'],
      registers,
      collect() {
        const pool = poolOf(dataSource);
        this.set({ state: 'idle' }, pool?.idleCount ?? 0);
        this.set({ state: 'busy' }, pool ? pool.totalCount - pool.idleCount : 0);
      },
    });
    new Gauge({
      name: 'database_pool_waiting',
      help: 'Callers waiting for a connection of the database pool',
      registers,
      collect() {
        this.set(poolOf(dataSource)?.waitingCount ?? 0);
      },
    });
    new Gauge({
      name: 'database_pool_size',
      help: 'Most connections that the pool may open',
      registers,
    }).set(env.databasePoolSize);
  }
}

function poolOf(dataSource: DataSource): PgPool | undefined {
  return (dataSource.driver as { master?: PgPool }).master;
}
