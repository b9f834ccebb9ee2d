import { applyDecorators, Controller } from '@nestjs/common';
import { routeRules } from './route-rules';

const VERSIONED = 'api/v1/klaviyo';
const UNVERSIONED = 'api/klaviyo';

/**
 * A controller of the API: one handler under two addresses, `/api/v1/klaviyo/…` and, unversioned, `/api/klaviyo/…`.
 * @param suffix what follows, without a leading slash, e.g. `lists`
 */
export function ApiController(suffix = ''): ClassDecorator {
  const rest = suffix === '' ? '' : `/${suffix}`;
  return applyDecorators(Controller([`${VERSIONED}${rest}`, `${UNVERSIONED}${rest}`]));
}

/** The versioned form of a route template: both addresses of a handler are one route. */
export function routeTemplate(url: string): string {
  return url.startsWith(`/${UNVERSIONED}`) ? `/${VERSIONED}${url.slice(UNVERSIONED.length + 1)}` : url;
}

/** Whether a path belongs to the API (and not to health, metrics or documentation). */
export function isApiPath(path: string): boolean {
  return path.startsWith('/api/');
}

/** The largest body of a route, in bytes after decompression (default: 1 MB). */
export function BodyLimit(bytes: number): ClassDecorator & MethodDecorator {
  return routeRules({ bodyLimit: bytes });
}

/** The handler is given an `UnreadBody` in place of what a body says. */
export function RawBody(): ClassDecorator & MethodDecorator {
  return routeRules({ rawBody: true });
}
