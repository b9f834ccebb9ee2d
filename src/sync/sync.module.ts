import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MirrorErasure } from './mirror-erasure.entity';
import { SyncPage } from './sync-page.entity';
import { SyncResource } from './sync-resource.entity';
import { SyncRun } from './sync-run.entity';
import { SyncSchedule } from './sync-schedule.entity';
import { SyncStreamSlot } from './sync-stream-slot.entity';
import { SyncWindow } from './sync-window.entity';

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
@Module({ imports: [TypeOrmModule.forFeature(ENTITIES)] })
export class SyncModule {}
