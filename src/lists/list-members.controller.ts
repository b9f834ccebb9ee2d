import { Body, Delete, HttpCode, HttpStatus, Param, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOperation } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { AddMembersRequest, MembersResponse, RemoveMembersQuery } from './list-members.dto';
import { ListMembersService } from './list-members.service';

/** Who is put on a list and taken off it. */
@ApiController('lists/:id/profiles')
export class ListMembersController {
  constructor(private readonly members: ListMembersService) {}

  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiOperation({ summary: 'Put up to 1,000 people on a list: membership alone, no consent' })
  @ApiAcceptedResponse({ type: MembersResponse, description: 'What became of each' })
  async add(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Body() body: AddMembersRequest,
  ): Promise<MembersResponse> {
    return MembersResponse.from(await this.members.add(scope, id, body));
  }

  @Delete()
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiOperation({ summary: 'Take up to 100 people off a list: nobody is unsubscribed' })
  @ApiAcceptedResponse({ type: MembersResponse, description: 'What became of each' })
  async remove(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: RemoveMembersQuery,
  ): Promise<MembersResponse> {
    return MembersResponse.from(await this.members.remove(scope, id, query));
  }
}
