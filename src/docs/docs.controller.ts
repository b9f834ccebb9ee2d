import { Controller, Get, Inject, Injectable, Param, Res, UseGuards, type CanActivate } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { AppError } from '../common/errors';
import { routeRules } from '../common/route-rules';
import { ENV, type Env } from '../config/env';
import { ApiDocument } from './api-document';
import { assetNamed } from './assets';
import { errorsPage, referencePage, type Page } from './pages';

const A_DAY = 'public, max-age=86400';

/** Where DOCS_ENABLED is off, these addresses are unknown like all that do not exist. */
@Injectable()
export class DocsEnabledGuard implements CanActivate {
  constructor(@Inject(ENV) private readonly env: Env) {}

  canActivate(): boolean {
    if (!this.env.docsEnabled) throw new AppError('ROUTE_NOT_FOUND');
    return true;
  }
}

/** The documentation of the API: the document, a page to read it, and the list of error codes. */
@Controller()
@UseGuards(DocsEnabledGuard)
@routeRules({ open: true })
export class DocsController {
  private errors: Page | undefined;

  constructor(private readonly document: ApiDocument) {}

  @Get('openapi.json')
  async openapi(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    void reply.type('application/json; charset=utf-8').header('Cache-Control', 'no-cache');
    return this.document.json();
  }

  @Get('docs')
  reference(@Res({ passthrough: true }) reply: FastifyReply): string {
    return show(referencePage, reply);
  }

  @Get('docs/errors')
  errorCodes(@Res({ passthrough: true }) reply: FastifyReply): string {
    this.errors ??= errorsPage();
    return show(this.errors, reply);
  }

  @Get('docs/assets/:name')
  async asset(@Param('name') name: string, @Res({ passthrough: true }) reply: FastifyReply): Promise<Buffer | string> {
    const asset = await assetNamed(name);
    if (!asset) throw new AppError('ROUTE_NOT_FOUND');
    void reply.type(asset.type).header('Cache-Control', A_DAY);
    return asset.body;
  }
}

function show(page: Page, reply: FastifyReply): string {
  void reply
    .type('text/html; charset=utf-8')
    .header('Cache-Control', 'no-cache')
    .header('Content-Security-Policy', page.policy);
  return page.html;
}
