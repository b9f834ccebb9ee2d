import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { GroupsModule } from '../groups/groups.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { MembersRepository } from './members.repository';
import { MembersService } from './members.service';
import { MirroredProfile } from './mirrored-profile.entity';
import { ProfileChange } from './profile-change.entity';
import { ProfileChangeRepository } from './profile-change.repository';
import { ProfileHistory } from './profile-history';
import { ProfileListController } from './profile-list.controller';
import { ProfileListService } from './profile-list.service';
import { ProfileLists } from './profile-lists';
import { ProfileMirrorRepository } from './profile-mirror.repository';
import { ProfileMirrorService } from './profile-mirror.service';
import { ProfileSearchRepository } from './profile-search.repository';
import { ProfileTag } from './profile-tag.entity';
import { ProfileTagsRepository } from './profile-tags.repository';
import { ProfileTagsService } from './profile-tags.service';
import { ProfileWriter } from './profile-writer';
import { ProfilesLiveKlaviyo } from './profiles-live.klaviyo';
import { ProfilesPagesKlaviyo } from './profiles-pages.klaviyo';
import { ProfilesController } from './profiles.controller';
import { ProfilesKlaviyo } from './profiles.klaviyo';
import { ProfilesService } from './profiles.service';
import { ProfilesSyncer } from './profiles.syncer';
import { SubscribeService } from './subscribe.service';
import { UpdateContactService } from './update-contact.service';

@Module({
  imports: [
    TypeOrmModule.forFeature([ProfileChange, MirroredProfile, ProfileTag]),
    ConnectionModule,
    GroupsModule,
    KlaviyoModule,
  ],
  controllers: [ProfilesController, ProfileListController],
  providers: [
    ProfilesService,
    SubscribeService,
    UpdateContactService,
    ProfileWriter,
    ProfileLists,
    ProfileHistory,
    ProfileChangeRepository,
    ProfilesKlaviyo,
    ProfilesPagesKlaviyo,
    ProfileMirrorRepository,
    ProfileTagsRepository,
    ProfilesSyncer,
    ProfileMirrorService,
    ProfileListService,
    ProfileSearchRepository,
    ProfilesLiveKlaviyo,
    ProfileTagsService,
    MembersService,
    MembersRepository,
  ],
  exports: [ProfileMirrorService],
})
export class ProfilesModule {}
