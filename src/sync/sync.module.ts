import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { MirrorEraseJob } from './mirror-erase.job';
import { MirrorErasure } from './mirror-erasure.entity';
import { MirrorErasuresRepository } from './mirror-erasures.repository';
import { PageRecordsRepository } from './page-records.repository';
import { PageStore } from './page-store';
import { PassEnding } from './pass-ending';
import { PassRecordsRepository } from './pass-records.repository';
import { RunEnding } from './run-ending';
import { RunLeasesRepository } from './run-leases.repository';
import { StrandedRunsSystemRepository } from './stranded-runs.system.repository';
import { SyncAlerts } from './sync-alerts';
import { SyncClock } from './sync-clock';
import { SyncEstimatesRepository } from './sync-estimates.repository';
import { SyncJob } from './sync.job';
import { SyncMetrics } from './sync-metrics';
import { SyncPage } from './sync-page.entity';
import { SyncReconciler } from './sync-reconciler';
import { SyncRequests } from './sync-requests';
import { SyncRequestsRepository } from './sync-requests.repository';
import { SyncResource } from './sync-resource.entity';
import { SyncRetention } from './sync-retention';
import { SyncRun } from './sync-run.entity';
import { SyncRunsRepository } from './sync-runs.repository';
import { SyncSchedule } from './sync-schedule.entity';
import { SyncSchedulesRepository } from './sync-schedules.repository';
import { SyncStreamSlot } from './sync-stream-slot.entity';
import { SyncStreamSlotsRepository } from './sync-stream-slots.repository';
import { SyncTickJob } from './sync-tick.job';
import { SyncTransactions } from './sync-transactions';
import { SyncWatch } from './sync-watch';
import { SyncWindow } from './sync-window.entity';
import { SyncController } from './sync.controller';
import { SyncService } from './sync.service';
import { SyncStream } from './sync.stream';
import { SyncSystemRepository } from './sync.system.repository';

const ENTITIES = [
  // one a line
  MirrorErasure,
  SyncPage,
  SyncResource,
  SyncRun,
  SyncSchedule,
  SyncStreamSlot,
  SyncWindow,
];

/** Keeps the mirror of connected accounts. */
@Module({
  imports: [TypeOrmModule.forFeature(ENTITIES), ConnectionModule],
  controllers: [SyncController],
  providers: [
    MirrorEraseJob,
    MirrorErasuresRepository,
    PageRecordsRepository,
    PageStore,
    PassEnding,
    PassRecordsRepository,
    RunEnding,
    RunLeasesRepository,
    StrandedRunsSystemRepository,
    SyncAlerts,
    SyncClock,
    SyncEstimatesRepository,
    SyncJob,
    SyncMetrics,
    SyncReconciler,
    SyncRequests,
    SyncRequestsRepository,
    SyncRetention,
    SyncRunsRepository,
    SyncSchedulesRepository,
    SyncService,
    SyncStream,
    SyncStreamSlotsRepository,
    SyncSystemRepository,
    SyncTickJob,
    SyncTransactions,
    SyncWatch,
  ],
})
export class SyncModule {}
