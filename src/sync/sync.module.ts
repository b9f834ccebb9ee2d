import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MirrorErasure } from './mirror-erasure.entity';
import { SyncSchedule } from './sync-schedule.entity';
import { SyncStreamSlot } from './sync-stream-slot.entity';

const ENTITIES = [
  // one a line
  MirrorErasure,
  SyncSchedule,
  SyncStreamSlot,
];

/** Keeps the mirror of connected accounts. */
@Module({ imports: [TypeOrmModule.forFeature(ENTITIES)] })
export class SyncModule {}
