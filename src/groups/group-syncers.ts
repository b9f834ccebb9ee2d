import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Syncers } from '../mirror/syncers';
import { GroupsKlaviyo } from './groups.klaviyo';
import { GroupsSyncer } from './groups.syncer';
import { GROUP_KINDS } from './member-count.entity';
import { MembershipsRepository } from './memberships.repository';
import { MembershipsSyncer } from './memberships.syncer';
import { MirroredGroupsRepository } from './mirrored-groups.repository';

/** Tells the synchronisation how lists, segments and memberships are read. */
@Injectable()
export class GroupSyncers implements OnModuleInit {
  constructor(
    private readonly syncers: Syncers,
    private readonly atKlaviyo: GroupsKlaviyo,
    private readonly groups: MirroredGroupsRepository,
    private readonly memberships: MembershipsRepository,
    private readonly membershipsSyncer: MembershipsSyncer,
  ) {}

  onModuleInit(): void {
    for (const kind of GROUP_KINDS)
      this.syncers.register(new GroupsSyncer(kind, this.atKlaviyo, this.groups, this.memberships));
    this.syncers.register(this.membershipsSyncer);
  }
}
