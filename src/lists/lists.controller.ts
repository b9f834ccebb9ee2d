import { Body, Get, Param, Post, Query } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { AlsoCsv } from '../common/table';
import {
  CreateListRequest,
  CreateListResponse,
  ListsQuery,
  ListsResponse,
  OneListQuery,
  OneListResponse,
} from './lists.dto';
import { ListsService } from './lists.service';

/** The lists of a Klaviyo account. */
@ApiController()
export class ListsController {
  constructor(private readonly lists: ListsService) {}

  @Get('get-lists')
  @AlsoCsv('lists', ['id', 'name', 'optInProcess', 'createdAt', 'updatedAt', 'memberCount', 'memberCountAt'])
  @ApiOperation({ summary: 'The lists of the account, with member counts where asked for' })
  async index(@Scope() scope: UserScope, @Query() query: ListsQuery): Promise<ListsResponse> {
    return ListsResponse.from(await this.lists.page(scope, query));
  }

  @Get('lists/:id')
  @ApiOperation({ summary: 'One list, from our mirror or from Klaviyo' })
  async one(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: OneListQuery,
  ): Promise<OneListResponse> {
    return OneListResponse.from(await this.lists.one(scope, id, query));
  }

  @Post('lists')
  @ApiOperation({ summary: 'Make a list; Klaviyo takes 150 a day' })
  async create(@Scope() scope: UserScope, @Body() body: CreateListRequest): Promise<CreateListResponse> {
    return CreateListResponse.from(await this.lists.create(scope, body));
  }
}
