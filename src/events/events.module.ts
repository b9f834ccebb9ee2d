import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AuthModule } from '../auth/auth.module';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { AccountMetrics } from './account-metrics';
import { EventDelivery } from './event-delivery';
import { EventDispatcher } from './event-dispatcher';
import { EventIntake } from './event-intake';
import { EventSender } from './event-sender';
import { EventVault } from './event-vault';
import { EventsController } from './events.controller';
import { EventsKlaviyo } from './events.klaviyo';
import { EventsRepository } from './events.repository';
import { EventsService } from './events.service';
import { EventsSystemRepository } from './events.system.repository';
import { HousekeepingJob } from './housekeeping.job';
import { SentEvent } from './sent-event.entity';

/** Events to Klaviyo: accepted, delivered, shown. */
@Module({
  imports: [TypeOrmModule.forFeature([SentEvent]), AuthModule, ConnectionModule, KlaviyoModule],
  controllers: [EventsController],
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
  ],
})
export class EventsModule {}
