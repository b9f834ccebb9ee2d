import { Body, Delete, Get, HttpStatus, Param, Patch, Post, Query, Res } from '@nestjs/common';
import { ApiOkResponse, ApiCreatedResponse, ApiOperation } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { KnownId } from '../common/known-id.pipe';
import {
  ConnectionsResponse,
  ConnectQuery,
  ConnectRequest,
  ConnectResponse,
  DisconnectQuery,
  DisconnectResponse,
  OneConnectionResponse,
  UpdateConnectionRequest,
} from './connection.dto';
import { ConnectionService } from './connection.service';
import { UsageQuery, UsageResponse } from './usage.dto';
import { UsageService } from './usage.service';

/** Users' Klaviyo accounts: connect, look, disconnect, change. */
@ApiController()
export class ConnectionController {
  constructor(
    private readonly connections: ConnectionService,
    private readonly usages: UsageService,
  ) {}

  @Post('connect')
  @ApiOperation({ summary: 'Connect a Klaviyo account, or replace the key of one that is connected' })
  @ApiCreatedResponse({ type: ConnectResponse, description: 'Connected' })
  @ApiOkResponse({
    type: ConnectResponse,
    description: 'Already connected: the key was replaced, nothing else is lost',
  })
  async connect(
    @Scope() scope: UserScope,
    @Body() body: ConnectRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ConnectResponse> {
    const result = await this.connections.connect(scope, body);
    reply.status(result.created ? HttpStatus.CREATED : HttpStatus.OK);
    return ConnectResponse.from(result);
  }

  @Get('connect')
  @ApiOperation({ summary: "The user's connections, oldest first" })
  async list(@Scope() scope: UserScope, @Query() query: ConnectQuery): Promise<ConnectionsResponse> {
    return ConnectionsResponse.from(await this.connections.list(scope, query.validate ?? false));
  }

  @Delete('connect')
  @ApiOperation({ summary: 'Disconnect one account, or all of the user’s' })
  async disconnect(@Scope() scope: UserScope, @Query() query: DisconnectQuery): Promise<DisconnectResponse> {
    return this.connections.disconnect(scope, query.connectionId);
  }

  @Patch('connections/:id')
  @ApiOperation({ summary: 'Change label, default or key of a connection' })
  async update(
    @Scope() scope: UserScope,
    @Param('id', KnownId('CONNECTION_NOT_FOUND')) id: string,
    @Body() body: UpdateConnectionRequest,
  ): Promise<OneConnectionResponse> {
    return OneConnectionResponse.from(await this.connections.update(scope, id, body));
  }

  @Get('connections/:id/usage')
  @ApiOperation({ summary: "How Klaviyo's quota of a connection stands, endpoint by endpoint" })
  async usage(
    @Scope() scope: UserScope,
    @Param('id', KnownId('CONNECTION_NOT_FOUND')) id: string,
    @Query() _query: UsageQuery,
  ): Promise<UsageResponse> {
    return UsageResponse.from(await this.usages.of(scope, id));
  }
}
