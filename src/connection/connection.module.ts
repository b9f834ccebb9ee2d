import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { AuthModule } from '../auth/auth.module';
import { KlaviyoModule } from '../klaviyo/klaviyo.module';
import { AccountsService } from './accounts.service';
import { ConnectionController } from './connection.controller';
import { Connection } from './connection.entity';
import { ConnectionKlaviyo } from './connection.klaviyo';
import { ConnectionRepository } from './connection.repository';
import { ConnectionService } from './connection.service';
import { ConnectionAlerts } from './connection-alerts';
import { KeyCopiesService } from './key-copies.service';
import { OpenedKeys } from './opened-keys';
import { UsageService } from './usage.service';

@Module({
  imports: [TypeOrmModule.forFeature([Connection]), AuthModule, KlaviyoModule],
  controllers: [ConnectionController],
  providers: [
    ConnectionService,
    AccountsService,
    ConnectionRepository,
    ConnectionKlaviyo,
    OpenedKeys,
    KeyCopiesService,
    ConnectionAlerts,
    UsageService,
  ],
  exports: [ConnectionService, AccountsService, KeyCopiesService],
})
export class ConnectionModule {}
