import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { GroupsService } from './groups.service';
import { MemberCount } from './member-count.entity';
import { MemberCountsJob } from './member-counts.job';
import { MemberCountsKlaviyo } from './member-counts.klaviyo';
import { MemberCountsRepository } from './member-counts.repository';
import { MemberCountsService } from './member-counts.service';

@Module({
  imports: [TypeOrmModule.forFeature([MemberCount]), ConnectionModule, KlaviyoModule],
  providers: [GroupsService, MemberCountsService, MemberCountsRepository, MemberCountsKlaviyo, MemberCountsJob],
  exports: [GroupsService],
})
export class GroupsModule {}
