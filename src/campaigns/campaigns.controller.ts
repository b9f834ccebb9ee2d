import { Get, Param, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { AlsoCsv } from '../common/table';
import { CAMPAIGN_COLUMNS, CAMPAIGN_HISTORY_COLUMNS } from './campaign-columns';
import { CampaignHistoryService } from './campaign-history.service';
import { CAMPAIGN_STATUSES } from './campaign-status';
import { CampaignHistoryQuery, CampaignsQuery, CampaignsResponse, OneCampaignQuery } from './campaigns.dto';
import { CampaignsService } from './campaigns.service';
import { CampaignHistoryResponse, OneCampaignResponse } from './one-campaign.dto';

/** The campaigns of a Klaviyo account. */
@ApiController()
export class CampaignsController {
  constructor(
    private readonly campaigns: CampaignsService,
    private readonly history: CampaignHistoryService,
  ) {}

  @Get('get-campaigns')
  @AlsoCsv('campaigns', CAMPAIGN_COLUMNS)
  @ApiOperation({ summary: 'The campaigns of the account, newest first, with figures where asked for' })
  @ApiQuery({ name: 'status', required: false, enum: CAMPAIGN_STATUSES, isArray: true, style: 'form', explode: false })
  async index(@Scope() scope: UserScope, @Query() query: CampaignsQuery): Promise<CampaignsResponse> {
    return CampaignsResponse.from(await this.campaigns.page(scope, query));
  }

  @Get('campaigns/:id')
  @ApiOperation({ summary: 'One campaign, with figures and what was heard since them where asked for' })
  async one(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: OneCampaignQuery,
  ): Promise<OneCampaignResponse> {
    return OneCampaignResponse.from(await this.campaigns.one(scope, id, query));
  }

  @Get('campaigns/:id/history')
  @AlsoCsv('history', CAMPAIGN_HISTORY_COLUMNS)
  @ApiOperation({ summary: 'Status, schedule and figures of a campaign over time, newest first' })
  async over(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: CampaignHistoryQuery,
  ): Promise<CampaignHistoryResponse> {
    return CampaignHistoryResponse.from(await this.history.page(scope, id, query));
  }
}
