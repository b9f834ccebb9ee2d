import { FASTIFY_ROUTE_CONFIG_METADATA } from '@nestjs/platform-fastify/constants.js';
import type { FastifyRequest } from 'fastify';

/** What a route asks of the edge. Kept in Fastify's own route config, so that the hooks before the body know it. */
export interface RouteRules {
  /** Open without a caller. Everything that does not say so is closed. */
  open?: boolean;
  /** The largest body in bytes after decompression; 1 MB when unsaid. */
  bodyLimit?: number;
  /** Takes calls from whatever `Origin`. */
  anyOrigin?: boolean;
  /** The handler is given an `UnreadBody` and decides whether it reads it: bytes, not JSON. */
  rawBody?: boolean;
}

/** Adds rules to a route, or to every route of a controller; a route's own rule wins. */
export function routeRules(rules: RouteRules): ClassDecorator & MethodDecorator {
  return (target: object, _key?: string | symbol, descriptor?: PropertyDescriptor) => {
    if (descriptor) {
      addTo(descriptor.value as object, rules, true);
      return;
    }
    const prototype = (target as { prototype: object }).prototype;
    for (const own of Object.values(Object.getOwnPropertyDescriptors(prototype)))
      if (typeof own.value === 'function') addTo(own.value as object, rules, false);
  };
}

function addTo(handler: object, rules: RouteRules, wins: boolean): void {
  const known = (Reflect.getMetadata(FASTIFY_ROUTE_CONFIG_METADATA, handler) ?? {}) as RouteRules;
  const merged = wins ? { ...known, ...rules } : { ...rules, ...known };
  Reflect.defineMetadata(FASTIFY_ROUTE_CONFIG_METADATA, merged, handler);
}

/** The rules of the route that a request met; none for an unknown address. */
export function rulesOf(request: FastifyRequest): RouteRules {
  // For an unknown address Fastify has no route options at all, whatever its types say.
  const options = request.routeOptions as { config?: RouteRules } | undefined;
  return options?.config ?? {};
}
