import { Module } from '@nestjs/common';

/** Klaviyo's webhooks: managed, received, worked off, passed on. */
@Module({})
export class WebhooksModule {}
