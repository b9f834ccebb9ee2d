import { Injectable, type OnModuleInit } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { onAnswer } from './http-hooks';
import { Metrics } from './metrics';

/** Counts and times every call by its route's template. */
@Injectable()
export class HttpMetrics implements OnModuleInit {
  constructor(
    private readonly metrics: Metrics,
    private readonly host: HttpAdapterHost,
  ) {}

  onModuleInit(): void {
    onAnswer(this.host, (_request, _reply, { method, route, status, milliseconds }) => {
      this.metrics.httpRequests.inc({ method, route, status });
      this.metrics.httpDuration.observe({ method, route }, milliseconds / 1000);
    });
  }
}
