import { Module } from '@nestjs/common';

/** Keeps the mirror of connected accounts. */
@Module({})
export class SyncModule {}
