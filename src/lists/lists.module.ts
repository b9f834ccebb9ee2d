import { Module } from '@nestjs/common';
import { ConnectionModule } from '../connection/connection.module';
import { GroupsModule } from '../groups/groups.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { ListMembersController } from './list-members.controller';
import { ListMembersKlaviyo } from './list-members.klaviyo';
import { ListMembersService } from './list-members.service';
import { ListsController } from './lists.controller';
import { ListsKlaviyo } from './lists.klaviyo';
import { ListsService } from './lists.service';

@Module({
  imports: [ConnectionModule, GroupsModule, KlaviyoModule],
  controllers: [ListsController, ListMembersController],
  providers: [ListsService, ListsKlaviyo, ListMembersService, ListMembersKlaviyo],
})
export class ListsModule {}
