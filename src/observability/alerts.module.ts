import { Global, Module } from '@nestjs/common';
import { AlertSender } from './alert-sender';
import { Alerts } from './alerts';
import { IncidentsSystemRepository } from './incidents.system.repository';

/** Telling operators. */
@Global()
@Module({ providers: [Alerts, AlertSender, IncidentsSystemRepository], exports: [Alerts] })
export class AlertsModule {}
