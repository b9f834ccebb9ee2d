import { Injectable, type INestApplication } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { FASTIFY_ROUTE_CONFIG_METADATA } from '@nestjs/platform-fastify/constants.js';
import type { RouteRules } from '../common/route-rules';
import { serviceVersion } from '../observability/build-info';
import { applyRules } from './document-rules';

const DESCRIPTION = `Connects users' Klaviyo accounts, writes their contacts and events, reads their lists, segments and campaigns.

Every address below also answers without its version, under \`/api/klaviyo\`. Success is \`{ "success": true, … }\`; failure is a
problem document whose \`code\` is explained at [/docs/errors](/docs/errors). Instants are RFC 3339 in UTC, rates are fractions,
and what is unknown is \`null\`.`;

/** Makes the service's OpenAPI document out of its own controllers, on the first request for it and once. */
@Injectable()
export class ApiDocument {
  private text: Promise<string> | undefined;

  constructor(
    private readonly modules: ModulesContainer,
    private readonly config: ApplicationConfig,
    private readonly host: HttpAdapterHost,
  ) {}

  /** The document as JSON text (OpenAPI 3.1). */
  async json(): Promise<string> {
    this.text ??= this.build();
    return this.text;
  }

  private async build(): Promise<string> {
    // Loaded here and not at the start: the service must be ready in seconds, and few processes are ever asked.
    const { DocumentBuilder, SwaggerModule } = await import('@nestjs/swagger');
    const base = new DocumentBuilder()
      .setOpenAPIVersion('3.1.0')
      .setTitle('Crealia Klaviyo service')
      .setDescription(DESCRIPTION)
      .setVersion(serviceVersion())
      .addServer('/')
      .addBearerAuth({ type: 'http', scheme: 'bearer', description: 'A service key, or a user token (JWT)' })
      .build();
    const document = SwaggerModule.createDocument(this.application(), base, {
      operationIdFactory: (controller, method) => operationId(controller, method),
    });
    return JSON.stringify(applyRules(document, this.openOperations()));
  }

  /** The parts of the application that the scanner reads, as Nest injects them. */
  private application(): INestApplication {
    const parts = {
      container: { getModules: () => this.modules, isGlobalModule: () => false },
      config: this.config,
      getHttpAdapter: () => this.host.httpAdapter,
    };
    return parts as unknown as INestApplication;
  }

  private openOperations(): Set<string> {
    const open = new Set<string>();
    for (const module of this.modules.values())
      for (const { metatype } of module.controllers.values()) {
        if (typeof metatype !== 'function') continue;
        const members = Object.getOwnPropertyDescriptors(metatype.prototype as object);
        for (const [name, { value }] of Object.entries(members))
          if (typeof value === 'function' && rulesOf(value as object)?.open) open.add(operationId(metatype.name, name));
      }
    return open;
  }
}

function rulesOf(handler: object): RouteRules | undefined {
  return Reflect.getMetadata(FASTIFY_ROUTE_CONFIG_METADATA, handler) as RouteRules | undefined;
}

/** `ListsController.index` becomes `listsIndex`. */
function operationId(controller: string, method: string): string {
  const subject = controller.replace(/Controller$/, '');
  return subject.charAt(0).toLowerCase() + subject.slice(1) + method.charAt(0).toUpperCase() + method.slice(1);
}
