import { Get, Param, Query } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { AlsoCsv } from '../common/table';
import { MembersService } from './members.service';
import { ProfileListService } from './profile-list.service';
import {
  MembersQuery,
  MembersResponse,
  OneMirroredProfileResponse,
  OneProfileQuery,
  PROFILE_COLUMNS,
  ProfilesQuery,
  ProfilesResponse,
  TagsQuery,
  TagsResponse,
} from './profile-page.dto';
import { ProfileTagsService } from './profile-tags.service';
import { ProfilesService } from './profiles.service';

/** Looks people up: by what is known of them, by their tags, by the groups they are in. */
@ApiController()
export class ProfileListController {
  constructor(
    private readonly list: ProfileListService,
    private readonly profiles: ProfilesService,
    private readonly members: MembersService,
    private readonly tagCounts: ProfileTagsService,
  ) {}

  @Get('profiles')
  @AlsoCsv('profiles', PROFILE_COLUMNS)
  @ApiOperation({ summary: 'People by identifier, name, tag, custom attribute, list, segment or time of update' })
  async index(@Scope() scope: UserScope, @Query() query: ProfilesQuery): Promise<ProfilesResponse> {
    return ProfilesResponse.from(await this.list.page(scope, query));
  }

  @Get('profiles/tags')
  @AlsoCsv('tags', ['name', 'count'])
  @ApiOperation({ summary: 'The tags that people have, and how many have each' })
  async tags(@Scope() scope: UserScope, @Query() query: TagsQuery): Promise<TagsResponse> {
    return TagsResponse.from(await this.tagCounts.page(scope, query));
  }

  @Get('profiles/:id')
  @ApiOperation({ summary: 'One person with their lists, from our mirror or from Klaviyo' })
  async one(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: OneProfileQuery,
  ): Promise<OneMirroredProfileResponse> {
    return OneMirroredProfileResponse.from(await this.profiles.one(scope, id, query));
  }

  @Get('lists/:id/profiles')
  @AlsoCsv('profiles', [...PROFILE_COLUMNS, 'joinedAt'])
  @ApiOperation({ summary: 'The people on a list, who joined last first' })
  async ofList(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: MembersQuery,
  ): Promise<MembersResponse> {
    return MembersResponse.from(await this.members.page(scope, 'list', id, query));
  }

  @Get('segments/:id/profiles')
  @AlsoCsv('profiles', [...PROFILE_COLUMNS, 'joinedAt'])
  @ApiOperation({ summary: 'The people in a segment, who joined last first' })
  async ofSegment(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: MembersQuery,
  ): Promise<MembersResponse> {
    return MembersResponse.from(await this.members.page(scope, 'segment', id, query));
  }
}
