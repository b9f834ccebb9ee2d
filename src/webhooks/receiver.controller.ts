import { HttpCode, HttpStatus, Post, Req, Res } from '@nestjs/common';
import { ApiBody, ApiHeader, ApiOkResponse, ApiOperation } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Public } from '../auth/user-scope';
import { ApiController, BodyLimit, RawBody } from '../common/controller';
import { UnreadBody } from '../http/unread-body';
import { ReceiverRequest, ReceiverResponse } from './receiver.dto';
import { WebhookReceiver } from './receiver';
import { claimedWebhook, credentialsOf } from './receiver-signature';

const MAX_BYTES = 25 * 1024 * 1024;

/** Where Klaviyo delivers events: open to anybody, believed only with a signature. */
@ApiController('webhook-receiver')
export class ReceiverController {
  constructor(private readonly receiver: WebhookReceiver) {}

  @Post()
  @Public({ anyOrigin: true })
  @BodyLimit(MAX_BYTES)
  @RawBody()
  @HttpCode(HttpStatus.OK)
  @ApiOperation({ summary: 'Klaviyo delivers events here; answered once they are committed' })
  @ApiHeader({ name: 'Klaviyo-Webhook-Id', required: true })
  @ApiHeader({
    name: 'Klaviyo-Signature',
    required: true,
    description: 'Hexadecimal HMAC-SHA256 of body and timestamp',
  })
  @ApiHeader({
    name: 'Klaviyo-Timestamp',
    required: true,
    description: 'Part of what is signed; its clock is not believed',
  })
  @ApiBody({ type: ReceiverRequest })
  @ApiOkResponse({ type: ReceiverResponse, description: 'Committed; nothing of it will be lost' })
  async receive(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ReceiverResponse> {
    const { body, ip, headers, raw } = request;
    // What is refused may not have been read: then this line is of no more use, and all refusals look the same.
    reply.header('connection', 'close');
    const taken = await this.receiver.receive({
      credentials: credentialsOf(raw.headersDistinct),
      claimed: claimedWebhook(headers),
      address: ip,
      body: body instanceof UnreadBody ? body : undefined,
    });
    reply.removeHeader('connection');
    return ReceiverResponse.from(taken);
  }
}
