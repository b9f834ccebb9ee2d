import { CreateJobQueue1764000100000 } from './1764000100000-create-job-queue';
import { CreateQueues1764000200000 } from './1764000200000-create-queues';
import { CreateIdempotencyKey1764000300000 } from './1764000300000-create-idempotency-key';
import { CreateConnection1764000400000 } from './1764000400000-create-connection';
import { CreateProfileChange1764000510000 } from './1764000510000-create-profile-change';
import { CreateSentEvent1764000520000 } from './1764000520000-create-sent-event';
import { CreateFigures1764000530000 } from './1764000530000-create-figures';
import { CreateKlaviyoQuota1764000610000 } from './1764000610000-create-klaviyo-quota';
import { CreateKlaviyoUsage1764000620000 } from './1764000620000-create-klaviyo-usage';
import { CreateMirrorState1764000700000 } from './1764000700000-create-mirror-state';
import { CreateSyncRun1764000710000 } from './1764000710000-create-sync-run';
import { CreateSyncSchedule1764000720000 } from './1764000720000-create-sync-schedule';
import { CreateMirroredProfile1764000730000 } from './1764000730000-create-mirrored-profile';
import { CreateGroupMirror1764000740000 } from './1764000740000-create-group-mirror';
import { CreateCampaignMirror1764000750000 } from './1764000750000-create-campaign-mirror';
import { CreateMirroredEvent1764000760000 } from './1764000760000-create-mirrored-event';
import { CreateMirrorStatistics1764000761000 } from './1764000761000-create-mirror-statistics';
import { CreateReceivedEvent1764000770000 } from './1764000770000-create-received-event';
import { CreateWebhook1764000780000 } from './1764000780000-create-webhook';
import { WatchWebhooks1764000790000 } from './1764000790000-watch-webhooks';
import { FindDeliveries1764000791000 } from './1764000791000-find-deliveries';
import { SampleLess1764000792000 } from './1764000792000-sample-less';
import { PeopleInOneTable1764000793000 } from './1764000793000-people-in-one-table';
import { VacuumWhatChanged1764000794000 } from './1764000794000-vacuum-what-changed';
import { RefuseInSql1764000795000 } from './1764000795000-refuse-in-sql';

/** Every migration, oldest first. A new one is appended here. */
export const migrations = [
  CreateJobQueue1764000100000,
  CreateQueues1764000200000,
  CreateIdempotencyKey1764000300000,
  CreateConnection1764000400000,
  CreateProfileChange1764000510000,
  CreateSentEvent1764000520000,
  CreateFigures1764000530000,
  CreateKlaviyoQuota1764000610000,
  CreateKlaviyoUsage1764000620000,
  CreateMirrorState1764000700000,
  CreateSyncRun1764000710000,
  CreateSyncSchedule1764000720000,
  CreateMirroredProfile1764000730000,
  CreateGroupMirror1764000740000,
  CreateCampaignMirror1764000750000,
  CreateMirroredEvent1764000760000,
  CreateMirrorStatistics1764000761000,
  CreateReceivedEvent1764000770000,
  CreateWebhook1764000780000,
  WatchWebhooks1764000790000,
  FindDeliveries1764000791000,
  SampleLess1764000792000,
  PeopleInOneTable1764000793000,
  VacuumWhatChanged1764000794000,
  RefuseInSql1764000795000,
  // one a line
];
