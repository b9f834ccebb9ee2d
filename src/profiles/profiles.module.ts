import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { ProfileAccess } from './profile-access';
import { ProfileChange } from './profile-change.entity';
import { ProfileChangeRepository } from './profile-change.repository';
import { ProfileHistory } from './profile-history';
import { ProfileLists } from './profile-lists';
import { ProfileWriter } from './profile-writer';
import { ProfilesController } from './profiles.controller';
import { ProfilesKlaviyo } from './profiles.klaviyo';
import { ProfilesService } from './profiles.service';
import { SubscribeService } from './subscribe.service';
import { UpdateContactService } from './update-contact.service';

@Module({
  imports: [TypeOrmModule.forFeature([ProfileChange]), ConnectionModule, KlaviyoModule],
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
  ],
})
export class ProfilesModule {}
