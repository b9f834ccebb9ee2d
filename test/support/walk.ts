import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { routeTemplate } from '../../src/common/controller';
import type { RouteRules } from '../../src/common/route-rules';

export const API = '/api/v1/klaviyo';

/** Listens to Fastify while the service makes its routes, so that a route is seen whoever registers it. */
export class RouteWalk {
  private readonly seen = new Set<string>();

  /** For `startApp({ prepare })`. */
  readonly prepare = async (app: NestFastifyApplication): Promise<void> => {
    const fastify = app.getHttpAdapter().getInstance();
    fastify.addHook('onRoute', ({ method, url, config }) => {
      // What anybody may call is about no user.
      const rules: RouteRules = { ...config };
      if (rules.open === true) return;
      for (const one of [method].flat())
        if (one !== 'HEAD' && url.startsWith('/api/')) this.seen.add(`${one} ${routeTemplate(url).slice(API.length)}`);
    });
    // Fastify takes a hook only once what was registered before is loaded.
    await fastify.after();
  };

  /** Every route of the API that is closed, once, e.g. `GET /events/:id`. */
  get routes(): string[] {
    return [...this.seen].sort();
  }
}
