import { createHash, timingSafeEqual } from 'node:crypto';
import { Controller, Get, Header, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { AppError } from '../common/errors';
import { routeRules } from '../common/route-rules';
import { cidrMatcher } from '../config/cidr';
import { ENV, type Env } from '../config/env';
import { Metrics } from './metrics';

/** Answers `GET /metrics`, and decides by itself who may read them. */
@Controller('metrics')
export class MetricsController {
  private readonly isInternal: (address: string) => boolean;

  constructor(
    private readonly metrics: Metrics,
    @Inject(ENV) private readonly env: Env,
  ) {
    this.isInternal = cidrMatcher(env.internalCidrs);
  }

  /** The figures in Prometheus's text format. @throws AppError UNAUTHENTICATED for whom they are not meant. */
  @Get()
  @routeRules({ open: true })
  @Header('Cache-Control', 'no-store')
  async read(@Req() request: FastifyRequest, @Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    if (!this.mayRead(request)) throw new AppError('UNAUTHENTICATED', { reason: 'metrics' });
    void reply.type(this.metrics.registry.contentType);
    return this.metrics.registry.metrics();
  }

  /**
   * With METRICS_TOKEN: whoever brings it. Without: whoever connects straight from INTERNAL_CIDRS. A call that a proxy
   * passed on is not straight, whatever its headers claim.
   */
  private mayRead(request: FastifyRequest): boolean {
    const { metricsToken } = this.env;
    if (metricsToken !== undefined) {
      const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
      return given !== undefined && timingSafeEqual(digest(given), digest(metricsToken));
    }
    const passedOn = Object.keys(request.headers).some(
      (name) => name === 'forwarded' || name.startsWith('x-forwarded-'),
    );
    return !passedOn && this.isInternal(request.raw.socket.remoteAddress ?? '');
  }
}

/** Equal lengths for the comparison in constant time. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
