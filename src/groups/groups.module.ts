import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { GroupHistoryController } from './group-history.controller';
import { GroupHistoryService } from './group-history.service';
import { GroupPagesRepository } from './group-pages.repository';
import { GroupReader } from './group-reader';
import { GroupSyncers } from './group-syncers';
import { GroupsKlaviyo } from './groups.klaviyo';
import { GroupsService } from './groups.service';
import { MemberCountHistory } from './member-count-history.entity';
import { MemberCountHistoryRepository } from './member-count-history.repository';
import { MemberCount } from './member-count.entity';
import { MemberCountsJob } from './member-counts.job';
import { MemberCountsKlaviyo } from './member-counts.klaviyo';
import { MemberCountsRepository } from './member-counts.repository';
import { MemberCountsService } from './member-counts.service';
import { Membership } from './membership.entity';
import { MembershipsRepository } from './memberships.repository';
import { MembershipsSyncer } from './memberships.syncer';
import { MirroredGroup } from './mirrored-group.entity';
import { MirroredGroupsRepository } from './mirrored-groups.repository';

@Module({
  imports: [
    TypeOrmModule.forFeature([MemberCount, MirroredGroup, Membership, MemberCountHistory]),
    ConnectionModule,
    KlaviyoModule,
  ],
  controllers: [GroupHistoryController],
  providers: [
    GroupsService,
    GroupHistoryService,
    GroupReader,
    GroupsKlaviyo,
    GroupSyncers,
    MembershipsSyncer,
    GroupPagesRepository,
    MirroredGroupsRepository,
    MembershipsRepository,
    MemberCountHistoryRepository,
    MemberCountsService,
    MemberCountsRepository,
    MemberCountsKlaviyo,
    MemberCountsJob,
  ],
  exports: [GroupsService],
})
export class GroupsModule {}
