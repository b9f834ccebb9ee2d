import { Module } from '@nestjs/common';
import { GroupsModule } from '../groups/groups.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { ListsController } from './lists.controller';
import { ListsKlaviyo } from './lists.klaviyo';
import { ListsService } from './lists.service';

@Module({
  imports: [GroupsModule, KlaviyoModule],
  controllers: [ListsController],
  providers: [ListsService, ListsKlaviyo],
})
export class ListsModule {}
