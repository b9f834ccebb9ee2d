import { Body, Delete, Get, HttpCode, HttpStatus, Param, Patch, Post, Query } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { KnownId } from '../common/known-id.pipe';
import {
  CreateWebhookRequest,
  OneWebhookResponse,
  RemovedWebhookResponse,
  RemoveWebhookQuery,
  RotatedSecretResponse,
  RotateSecretRequest,
  TopicsResponse,
  UpdateWebhookRequest,
  WebhooksQuery,
  WebhooksResponse,
} from './webhooks.dto';
import { WebhooksService } from './webhooks.service';

/** Which of a Klaviyo account's events come here, and how. */
@ApiController()
export class WebhooksController {
  constructor(private readonly webhooks: WebhooksService) {}

  @Post('webhooks')
  @HttpCode(HttpStatus.CREATED)
  @ApiOperation({
    summary: 'Have the events of some topics: sent by Klaviyo, or read from it where its plan forbids that',
  })
  async create(@Scope() scope: UserScope, @Body() body: CreateWebhookRequest): Promise<OneWebhookResponse> {
    return OneWebhookResponse.from(await this.webhooks.create(scope, body));
  }

  @Get('webhooks')
  @ApiOperation({ summary: 'The webhooks of the connection, with what they brought' })
  async index(@Scope() scope: UserScope, @Query() query: WebhooksQuery): Promise<WebhooksResponse> {
    return WebhooksResponse.from(await this.webhooks.all(scope, query.connectionId));
  }

  @Delete('webhooks')
  @ApiOperation({ summary: 'Remove a webhook, here and at Klaviyo' })
  async remove(@Scope() scope: UserScope, @Query() query: RemoveWebhookQuery): Promise<RemovedWebhookResponse> {
    return RemovedWebhookResponse.from(await this.webhooks.remove(scope, query));
  }

  @Get('webhooks/topics')
  @ApiOperation({ summary: 'The topics that webhooks of this account may have' })
  async topics(@Scope() scope: UserScope, @Query() query: WebhooksQuery): Promise<TopicsResponse> {
    return TopicsResponse.from(await this.webhooks.topics(scope, query.connectionId));
  }

  @Patch('webhooks/:id')
  @ApiOperation({ summary: 'Change name, description or topics of a webhook; switch it off and on' })
  async update(
    @Scope() scope: UserScope,
    @Param('id', KnownId('WEBHOOK_NOT_FOUND')) id: string,
    @Body() body: UpdateWebhookRequest,
  ): Promise<OneWebhookResponse> {
    return OneWebhookResponse.from(await this.webhooks.update(scope, id, body));
  }

  @Post('webhooks/:id/rotate-secret')
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ summary: 'Give a webhook a new secret; the one before holds for what is still on its way' })
  async rotate(
    @Scope() scope: UserScope,
    @Param('id', KnownId('WEBHOOK_NOT_FOUND')) id: string,
    @Body() body: RotateSecretRequest,
  ): Promise<RotatedSecretResponse> {
    return RotatedSecretResponse.from(await this.webhooks.rotate(scope, id, body.connectionId));
  }
}
