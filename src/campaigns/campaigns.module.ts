import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { ConnectionModule } from '../connection/connection.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { CampaignChange } from './campaign-change.entity';
import { CampaignEngagement } from './campaign-engagement.entity';
import { CampaignEngagementRepository } from './campaign-engagement.repository';
import { CampaignEngagementService } from './campaign-engagement.service';
import { CampaignFigure } from './campaign-figure.entity';
import { CampaignFiguresJob } from './campaign-figures.job';
import { CampaignFiguresRepository } from './campaign-figures.repository';
import { CampaignFiguresService } from './campaign-figures.service';
import { CampaignHistoryRepository } from './campaign-history.repository';
import { CampaignHistoryService } from './campaign-history.service';
import { CampaignMirrorKlaviyo } from './campaign-mirror.klaviyo';
import { CampaignMirrorRepository } from './campaign-mirror.repository';
import { CampaignReader } from './campaign-reader';
import { CampaignReportPlans } from './campaign-report-plans';
import { CampaignReportsKlaviyo } from './campaign-reports.klaviyo';
import { CampaignReportsService } from './campaign-reports.service';
import { CampaignSets } from './campaign-sets';
import { CampaignSnapshot } from './campaign-snapshot.entity';
import { CampaignSnapshotsRepository } from './campaign-snapshots.repository';
import { CampaignsController } from './campaigns.controller';
import { CampaignsKlaviyo } from './campaigns.klaviyo';
import { CampaignsService } from './campaigns.service';
import { CampaignsSyncer } from './campaigns.syncer';
import { ConversionMetricChoice } from './conversion-metric.entity';
import { ConversionMetrics } from './conversion-metrics';
import { ConversionMetricsRepository } from './conversion-metrics.repository';
import { LiveCampaigns } from './live-campaigns';
import { MirroredCampaign } from './mirrored-campaign.entity';
import { MirroredCampaigns } from './mirrored-campaigns';
import { MirroredCampaignsRepository } from './mirrored-campaigns.repository';
import { ReportRun } from './report-run.entity';
import { ReportRunsRepository } from './report-runs.repository';

@Module({
  imports: [
    TypeOrmModule.forFeature([
      MirroredCampaign,
      CampaignChange,
      CampaignFigure,
      CampaignSnapshot,
      CampaignEngagement,
      ConversionMetricChoice,
      ReportRun,
    ]),
    ConnectionModule,
    KlaviyoModule,
  ],
  controllers: [CampaignsController],
  providers: [
    CampaignsService,
    CampaignsKlaviyo,
    CampaignsSyncer,
    CampaignMirrorKlaviyo,
    CampaignMirrorRepository,
    MirroredCampaigns,
    MirroredCampaignsRepository,
    LiveCampaigns,
    CampaignReader,
    CampaignSets,
    CampaignFiguresService,
    CampaignFiguresRepository,
    CampaignFiguresJob,
    CampaignReportsService,
    CampaignReportsKlaviyo,
    CampaignHistoryService,
    CampaignHistoryRepository,
    CampaignReportPlans,
    CampaignSnapshotsRepository,
    CampaignEngagementService,
    CampaignEngagementRepository,
    ConversionMetrics,
    ConversionMetricsRepository,
    ReportRunsRepository,
  ],
  exports: [CampaignEngagementService],
})
export class CampaignsModule {}
