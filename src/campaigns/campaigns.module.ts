import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { CampaignFigure } from './campaign-figure.entity';
import { CampaignFiguresJob } from './campaign-figures.job';
import { CampaignFiguresRepository } from './campaign-figures.repository';
import { CampaignFiguresService } from './campaign-figures.service';
import { CampaignReader } from './campaign-reader';
import { CampaignReportsKlaviyo } from './campaign-reports.klaviyo';
import { CampaignReportsService } from './campaign-reports.service';
import { CampaignSnapshots } from './campaign-snapshots';
import { CampaignsController } from './campaigns.controller';
import { CampaignsKlaviyo } from './campaigns.klaviyo';
import { CampaignsService } from './campaigns.service';
import { ConversionMetrics } from './conversion-metrics';
import { ReportRun } from './report-run.entity';
import { ReportRunsRepository } from './report-runs.repository';

@Module({
  imports: [TypeOrmModule.forFeature([CampaignFigure, ReportRun]), ConnectionModule, KlaviyoModule],
  controllers: [CampaignsController],
  providers: [
    CampaignsService,
    CampaignsKlaviyo,
    CampaignReader,
    CampaignSnapshots,
    CampaignFiguresService,
    CampaignFiguresRepository,
    CampaignFiguresJob,
    CampaignReportsService,
    CampaignReportsKlaviyo,
    ConversionMetrics,
    ReportRunsRepository,
  ],
})
export class CampaignsModule {}
