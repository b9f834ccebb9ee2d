import { Module } from '@nestjs/common';
import { GroupsModule } from '../groups/groups.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { SegmentsController } from './segments.controller';
import { SegmentsKlaviyo } from './segments.klaviyo';
import { SegmentsService } from './segments.service';

@Module({
  imports: [GroupsModule, KlaviyoModule],
  controllers: [SegmentsController],
  providers: [SegmentsService, SegmentsKlaviyo],
})
export class SegmentsModule {}
