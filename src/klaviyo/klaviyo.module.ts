import { HttpModule } from '@nestjs/axios';
import { Module } from '@nestjs/common';
import { AccountHealth } from './account-health';
import { KlaviyoAttempts } from './attempts';
import { Chance, SystemChance } from './chance';
import { CircuitSystemRepository } from './circuit.system.repository';
import { KlaviyoClient } from './klaviyo.client';
import { KlaviyoUsage } from './klaviyo-usage';
import { KlaviyoQuota } from './quota';
import { QuotaDatabase } from './quota-database';
import { QuotaLedger } from './quota-ledger';
import { QuotaSystemRepository } from './quota.system.repository';
import { SharedQuota } from './shared-quota';
import { KlaviyoTransport } from './transport';
import { UsageRecorder } from './usage-recorder';
import { UsageRepository } from './usage.repository';
import { UsageSystemRepository } from './usage.system.repository';
import { Waits } from './waits';

/** Speaking to Klaviyo. Needs ENV, Clock, Drain, Db, Metrics and Alerts, which are there everywhere. */
@Module({
  imports: [HttpModule],
  providers: [
    KlaviyoClient,
    KlaviyoAttempts,
    KlaviyoTransport,
    AccountHealth,
    Waits,
    QuotaDatabase,
    CircuitSystemRepository,
    UsageRecorder,
    UsageRepository,
    UsageSystemRepository,
    KlaviyoUsage,
    { provide: QuotaLedger, useClass: QuotaSystemRepository },
    { provide: KlaviyoQuota, useClass: SharedQuota },
    { provide: Chance, useClass: SystemChance },
  ],
  exports: [KlaviyoClient, KlaviyoUsage],
})
export class KlaviyoModule {}
