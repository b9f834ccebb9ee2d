import { Global, Module } from '@nestjs/common';
import { HttpMetrics } from './http-metrics';
import { Metrics } from './metrics';
import { MetricsController } from './metrics.controller';
import { RuntimeMetrics } from './runtime-metrics';

/** The service's figures, and the address where Prometheus reads them. */
@Global()
@Module({
  controllers: [MetricsController],
  providers: [Metrics, HttpMetrics, RuntimeMetrics],
  exports: [Metrics],
})
export class MetricsModule {}
