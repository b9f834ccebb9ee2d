import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AuthModule } from '../auth/auth.module';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { AccountMetrics } from './account-metrics';
import { EventDelivery } from './event-delivery';
import { EventDispatcher } from './event-dispatcher';
import { EventIntake } from './event-intake';
import { EventMirrorRepository } from './event-mirror.repository';
import { EventMirrorService } from './event-mirror.service';
import { EventReadingKlaviyo } from './event-reading.klaviyo';
import { EventSender } from './event-sender';
import { EventVault } from './event-vault';
import { EventsController } from './events.controller';
import { EventsKlaviyo } from './events.klaviyo';
import { EventsRepository } from './events.repository';
import { EventsService } from './events.service';
import { EventsSyncer } from './events.syncer';
import { EventsSystemRepository } from './events.system.repository';
import { HousekeepingJob } from './housekeeping.job';
import { MetricMirrorRepository } from './metric-mirror.repository';
import { MetricsSyncer } from './metrics.syncer';
import { MirroredEvent } from './mirrored-event.entity';
import { MirroredMetric } from './mirrored-metric.entity';
import { SentEvent } from './sent-event.entity';
import { TimelineController } from './timeline.controller';
import { TimelineRepository } from './timeline.repository';
import { TimelineService } from './timeline.service';

/** Events to Klaviyo: accepted, delivered, shown; and the mirror of those that Klaviyo has. */
@Module({
  imports: [
    TypeOrmModule.forFeature([SentEvent, MirroredEvent, MirroredMetric]),
    AuthModule,
    ConnectionModule,
    KlaviyoModule,
  ],
  controllers: [EventsController, TimelineController],
  providers: [
    EventsService,
    EventIntake,
    EventSender,
    EventDelivery,
    EventDispatcher,
    EventVault,
    EventsKlaviyo,
    EventsRepository,
    EventsSystemRepository,
    AccountMetrics,
    HousekeepingJob,
    EventReadingKlaviyo,
    EventMirrorRepository,
    MetricMirrorRepository,
    EventsSyncer,
    MetricsSyncer,
    EventMirrorService,
    TimelineService,
    TimelineRepository,
  ],
  exports: [EventMirrorService],
})
export class EventsModule {}
