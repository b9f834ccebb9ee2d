import { Body, Get, HttpCode, HttpStatus, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiOperation } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Idempotent } from '../auth/idempotency.interceptor';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { currentContext } from '../common/request-context';
import { IdentifierQuery, IdentifierRequest } from './identifier.dto';
import { ProfilesService } from './profiles.service';
import { OneProfileResponse, SubscribeRequest, SubscribeResponse } from './subscribe.dto';
import { SubscribeService } from './subscribe.service';
import { ContactFieldsResponse, UpdateContactRequest, UpdateContactResponse } from './update-contact.dto';
import { UpdateContactService } from './update-contact.service';

/** People: put them on lists, find them, change them. */
@ApiController()
export class ProfilesController {
  constructor(
    private readonly profiles: ProfilesService,
    private readonly subscriptions: SubscribeService,
    private readonly updates: UpdateContactService,
  ) {}

  @Post('subscribe')
  @ApiOperation({ summary: 'Create or update a person and put them on lists' })
  @ApiCreatedResponse({ type: SubscribeResponse, description: 'Klaviyo did not know the person before' })
  @ApiOkResponse({ type: SubscribeResponse, description: 'The person was known and is updated' })
  async subscribe(
    @Scope() scope: UserScope,
    @Body() body: SubscribeRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<SubscribeResponse> {
    const result = await this.subscriptions.subscribe(scope, body);
    reply.status(result.created ? HttpStatus.CREATED : HttpStatus.OK);
    return SubscribeResponse.from(result);
  }

  @Get('subscribe')
  @ApiOperation({ summary: 'Find a person, with consent and lists, by exactly one identifier' })
  async find(@Scope() scope: UserScope, @Query() query: IdentifierQuery): Promise<OneProfileResponse> {
    return OneProfileResponse.from(await this.profiles.find(scope, query));
  }

  @Post('profiles/search')
  @HttpCode(HttpStatus.OK)
  @Idempotent(false)
  @ApiOperation({ summary: 'As GET /subscribe, with the identifier in the body (and so in no log of addresses)' })
  async search(@Scope() scope: UserScope, @Body() body: IdentifierRequest): Promise<OneProfileResponse> {
    return OneProfileResponse.from(await this.profiles.find(scope, body));
  }

  @Patch('update-contact')
  @ApiOperation({ summary: 'Change a person who exists: fields, tags, custom attributes, lists' })
  async update(@Scope() scope: UserScope, @Body() body: UpdateContactRequest): Promise<UpdateContactResponse> {
    return UpdateContactResponse.from(await this.updates.update(scope, body));
  }

  @Get('update-contact')
  @ApiOperation({ summary: 'The fields that may be written; with an identifier also the person and their history' })
  async fields(@Scope() scope: UserScope, @Query() query: IdentifierQuery): Promise<ContactFieldsResponse> {
    const found = await this.profiles.findWithHistory(scope, query);
    return ContactFieldsResponse.from(currentContext()?.language ?? 'fr', found);
  }
}
