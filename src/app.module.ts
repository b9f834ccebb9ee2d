import { Module } from '@nestjs/common';
import { AuthModule } from './auth/auth.module';
import { CampaignsModule } from './campaigns/campaigns.module';
import { ConfigModule } from './config/config.module';
import { ConnectionModule } from './connection/connection.module';
import { DatabaseModule } from './database/database.module';
import { EncryptionModule } from './encryption/encryption.module';
import { DocsModule } from './docs/docs.module';
import { EventsModule } from './events/events.module';
import { HealthModule } from './health/health.module';
import { HttpModule } from './http/http.module';
import { JobsModule } from './jobs/jobs.module';
import { ListsModule } from './lists/lists.module';
import { MirrorModule } from './mirror/mirror.module';
import { AlertsModule } from './observability/alerts.module';
import { LoggingModule } from './observability/logging.module';
import { MetricsModule } from './observability/metrics.module';
import { ProfilesModule } from './profiles/profiles.module';
import { SegmentsModule } from './segments/segments.module';
import { SyncModule } from './sync/sync.module';
import { WebhooksModule } from './webhooks/webhooks.module';

/** The whole service: one line a module, lower levels first. */
@Module({
  imports: [
    ConfigModule,
    EncryptionModule,
    DatabaseModule,
    LoggingModule,
    MetricsModule,
    AlertsModule,
    HttpModule,
    AuthModule,
    JobsModule,
    MirrorModule,
    ConnectionModule,
    HealthModule,
    DocsModule,
    EventsModule,
    ListsModule,
    SegmentsModule,
    CampaignsModule,
    ProfilesModule,
    SyncModule,
    WebhooksModule,
  ],
})
export class AppModule {}
