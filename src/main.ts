import 'reflect-metadata';
import { existsSync } from 'node:fs';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { AppModule } from './app.module';
import { EnvError } from './config/env-reader';
import { readEnv } from './config/env';
import { configure } from './configure';
import { createAdapter } from './http/adapter';

async function main(): Promise<void> {
  if (existsSync('.env') && (process.env.NODE_ENV ?? 'development') === 'development') process.loadEnvFile();
  const env = readEnv(process.env);
  const app = await NestFactory.create<NestFastifyApplication>(AppModule, createAdapter(env), {
    bodyParser: false,
    bufferLogs: true,
    abortOnError: false,
  });
  await configure(app);
  await app.listen(env.port, env.host);
}

main().catch((error: unknown) => {
  process.stderr.write(error instanceof EnvError ? `${error.faults.join('\n')}\n` : `${String(error)}\n`);
  process.exit(1);
});
