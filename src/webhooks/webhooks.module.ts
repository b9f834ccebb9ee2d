import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CampaignsModule } from '../campaigns/campaigns.module';
import { ConnectionModule } from '../connection/connection.module';
import { EventsModule } from '../events/events.module';
import { GroupsModule } from '../groups/groups.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { ProfilesModule } from '../profiles/profiles.module';
import { Consumers } from './consumers';
import { ConsumersRepository } from './consumers.repository';
import { DeliveryFiguresRepository } from './delivery-figures.repository';
import { WebhookDelivery } from './delivery.entity';
import { EventForward } from './event-forward.entity';
import { ForwardAlerts } from './forward-alerts';
import { ForwardSending } from './forward-sending';
import { ForwardRetentionSystemRepository } from './forward-retention.system.repository';
import { ForwardTargetHealth } from './forward-target-health';
import { ForwardTarget } from './forward-target.entity';
import { ForwardTargetsSystemRepository } from './forward-targets.system.repository';
import { Forwarder } from './forwarder';
import { Forwards } from './forwards';
import { ForwardsRepository } from './forwards.repository';
import { ForwardsSystemRepository } from './forwards.system.repository';
import { WebhookHealth } from './health';
import { HealthAlerts } from './health-alerts';
import { WebhookTickJob } from './health.job';
import { WebhookIntake } from './intake';
import { IntakeSystemRepository } from './intake.system.repository';
import { PollReader } from './poll-reader';
import { PollJob } from './poll.job';
import { PollKlaviyo } from './poll.klaviyo';
import { PollRepository } from './poll.repository';
import { ProcessRefreshRepository } from './process-refresh.repository';
import { ProfileRefresher } from './process-refresher';
import { ProfileRefresh, WebhookFigure, WebhookLane } from './process-state.entity';
import { ProcessWorker } from './process-worker';
import { ProcessRepository } from './process.repository';
import { ProcessSystemRepository } from './process.system.repository';
import { WebhookProcessor } from './processor';
import { ReceivedErasureRepository } from './received-erasure.repository';
import { ReceivedEvent } from './received-event.entity';
import { ReceivedEventsController } from './received-events.controller';
import { ReceivedEventsRepository } from './received-events.repository';
import { ReceivedEventsService } from './received-events.service';
import { ReceivedRetention } from './received-retention.job';
import { WebhookReceiver } from './receiver';
import { ReceiverWebhooks } from './receiver-webhooks';
import { ReceiverController } from './receiver.controller';
import { Removals } from './removals';
import { RemovalsRepository } from './removals.repository';
import { Topics } from './topics';
import { TopicsKlaviyo } from './topics.klaviyo';
import { WebhookCreation } from './webhook-creation';
import { WebhookRemoval } from './webhook-removal.entity';
import { WebhookStatistics } from './webhook-statistics';
import { WebhookWatch } from './webhook-watch.entity';
import { Webhook } from './webhook.entity';
import { WebhooksController } from './webhooks.controller';
import { WebhooksKlaviyo } from './webhooks.klaviyo';
import { WebhooksRepository } from './webhooks.repository';
import { WebhookSecrets } from './webhooks.secrets';
import { WebhooksService } from './webhooks.service';
import { WebhooksSystemRepository } from './webhooks.system.repository';

/** Klaviyo's webhooks: managed, received, worked off, passed on. */
@Module({
  imports: [
    TypeOrmModule.forFeature([Webhook, WebhookRemoval, EventForward, ForwardTarget, WebhookWatch]),
    TypeOrmModule.forFeature([WebhookDelivery, ReceivedEvent, WebhookFigure, WebhookLane, ProfileRefresh]),
    ConnectionModule,
    KlaviyoModule,
    ProfilesModule,
    CampaignsModule,
    GroupsModule,
    EventsModule,
  ],
  controllers: [ReceivedEventsController, ReceiverController, WebhooksController],
  providers: [
    // One a line: what is managed, read and passed on first, what is received and worked off after it.
    WebhookSecrets,
    WebhooksSystemRepository,
    Forwards,
    Forwarder,
    ForwardsRepository,
    ForwardsSystemRepository,
    ForwardRetentionSystemRepository,
    ForwardTargetsSystemRepository,
    ForwardTargetHealth,
    ForwardSending,
    ForwardAlerts,
    IntakeSystemRepository,
    WebhookIntake,
    PollRepository,
    PollKlaviyo,
    PollReader,
    PollJob,
    TopicsKlaviyo,
    Topics,
    RemovalsRepository,
    WebhookTickJob,
    HealthAlerts,
    WebhookHealth,
    Removals,
    WebhookStatistics,
    WebhookCreation,
    WebhooksKlaviyo,
    WebhooksRepository,
    WebhooksService,
    Consumers,
    ConsumersRepository,
    ProcessRefreshRepository,
    ProcessWorker,
    ProcessRepository,
    ProcessSystemRepository,
    WebhookProcessor,
    ReceiverWebhooks,
    WebhookReceiver,
    ProfileRefresher,
    DeliveryFiguresRepository,
    ReceivedRetention,
    ReceivedErasureRepository,
    ReceivedEventsService,
    ReceivedEventsRepository,
  ],
})
export class WebhooksModule {}
