import { Controller, Get, Header, HttpStatus, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { routeRules } from '../common/route-rules';
import { HealthService, type Readiness } from './health.service';

/** The two addresses that an orchestrator asks. Open, and without internals in the answer. */
@Controller('health')
@routeRules({ open: true })
export class HealthController {
  constructor(private readonly health: HealthService) {}

  /** The process runs and its event loop turns: nothing else, so that a database outage restarts nobody. */
  @Get('live')
  @Header('Cache-Control', 'no-store')
  live(): { status: 'ok' } {
    return { status: 'ok' };
  }

  /** Whether to send calls here: 200, or 503 with the check that fails. Always 503 while the process is stopping. */
  @Get('ready')
  @Header('Cache-Control', 'no-store')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.health.ready();
    if (readiness.status === 'error') void reply.status(HttpStatus.SERVICE_UNAVAILABLE);
    return readiness;
  }
}
