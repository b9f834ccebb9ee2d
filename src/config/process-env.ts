import { existsSync } from 'node:fs';
import { readEnv, type Env } from './env';

/**
 * The environment of this process; in development and test with what a `.env` beside it adds (what is set already wins).
 * @throws EnvError with every fault at once
 */
export function readProcessEnv(): Env {
  const nodeEnv = process.env.NODE_ENV?.trim() ?? '';
  if (['', 'development', 'test'].includes(nodeEnv) && existsSync('.env')) process.loadEnvFile();
  return readEnv(process.env);
}
