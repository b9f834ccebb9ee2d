import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { EventForward } from './event-forward.entity';
import { ForwardTarget } from './forward-target.entity';
import { Forwarder } from './forwarder';
import { Forwards } from './forwards';
import { ForwardsRepository } from './forwards.repository';
import { WebhookRemoval } from './webhook-removal.entity';
import { Webhook } from './webhook.entity';
import { WebhookSecrets } from './webhooks.secrets';
import { WebhooksSystemRepository } from './webhooks.system.repository';

/** Klaviyo's webhooks: managed, received, worked off, passed on. */
@Module({
  imports: [
    TypeOrmModule.forFeature([Webhook, WebhookRemoval, EventForward, ForwardTarget]),
    ConnectionModule,
    KlaviyoModule,
  ],
  providers: [
    // One a line: what is managed, read and passed on first, what is received and worked off after it.
    WebhookSecrets,
    WebhooksSystemRepository,
    Forwards,
    Forwarder,
    ForwardsRepository,
  ],
})
export class WebhooksModule {}
