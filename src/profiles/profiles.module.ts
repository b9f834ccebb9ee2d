import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { MirroredProfileDocument } from './mirrored-profile-document.entity';
import { MirroredProfile } from './mirrored-profile.entity';
import { ProfileAccess } from './profile-access';
import { ProfileChange } from './profile-change.entity';
import { ProfileChangeRepository } from './profile-change.repository';
import { ProfileHistory } from './profile-history';
import { ProfileLists } from './profile-lists';
import { ProfileMirrorRepository } from './profile-mirror.repository';
import { ProfileTag } from './profile-tag.entity';
import { ProfileTagsRepository } from './profile-tags.repository';
import { ProfileWriter } from './profile-writer';
import { ProfilesPagesKlaviyo } from './profiles-pages.klaviyo';
import { ProfilesController } from './profiles.controller';
import { ProfilesKlaviyo } from './profiles.klaviyo';
import { ProfilesService } from './profiles.service';
import { ProfilesSyncer } from './profiles.syncer';
import { SubscribeService } from './subscribe.service';
import { UpdateContactService } from './update-contact.service';

@Module({
  imports: [
    TypeOrmModule.forFeature([ProfileChange, MirroredProfile, MirroredProfileDocument, ProfileTag]),
    ConnectionModule,
    KlaviyoModule,
  ],
  controllers: [ProfilesController],
  providers: [
    ProfilesService,
    SubscribeService,
    UpdateContactService,
    ProfileAccess,
    ProfileWriter,
    ProfileLists,
    ProfileHistory,
    ProfileChangeRepository,
    ProfilesKlaviyo,
    ProfilesPagesKlaviyo,
    ProfileMirrorRepository,
    ProfileTagsRepository,
    ProfilesSyncer,
  ],
})
export class ProfilesModule {}
