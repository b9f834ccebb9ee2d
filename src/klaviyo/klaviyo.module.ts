import { HttpModule } from '@nestjs/axios';
import { Module } from '@nestjs/common';
import { AccountHealth } from './account-health';
import { KlaviyoAttempts } from './attempts';
import { Chance, SystemChance } from './chance';

import { KlaviyoClient } from './klaviyo.client';
import { LocalQuota } from './local-quota';
import { KlaviyoQuota } from './quota';
import { KlaviyoTransport } from './transport';
import { Waits } from './waits';

/** Speaking to Klaviyo. Needs ENV, Clock, Drain and Metrics, which are there everywhere. */
@Module({
  imports: [HttpModule],
  providers: [
    KlaviyoClient,
    KlaviyoAttempts,
    KlaviyoTransport,
    AccountHealth,
    Waits,
    { provide: KlaviyoQuota, useClass: LocalQuota },
    { provide: Chance, useClass: SystemChance },
  ],
  exports: [KlaviyoClient],
})
export class KlaviyoModule {}
