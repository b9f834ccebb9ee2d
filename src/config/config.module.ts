import { Global, Module } from '@nestjs/common';
import { ConfigModule as NestConfigModule, ConfigService } from '@nestjs/config';
import { ENV, readEnv, type Env } from './env';

/** Makes the checked environment injectable everywhere as `@Inject(ENV) env: Env`. */
@Global()
@Module({
  imports: [
    NestConfigModule.forRoot({
      isGlobal: true,
      cache: true,
      ignoreEnvFile: true,
      load: [() => ({ service: readEnv(process.env) })],
    }),
  ],
  providers: [
    {
      provide: ENV,
      inject: [ConfigService],
      useFactory: (config: ConfigService): Env => config.getOrThrow<Env>('service'),
    },
  ],
  exports: [ENV],
})
export class ConfigModule {}
