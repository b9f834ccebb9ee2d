// `npm run db:generate -- <verb-noun>`: drafts a migration from the difference between the entities and the migrations.
import './node-version.ts';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPostgres } from './embedded-postgres.ts';

const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const require = createRequire(import.meta.url);

interface SqlDifference {
  upQueries: { query: string }[];
  downQueries: { query: string }[];
}

interface DataSourceLike {
  initialize(): Promise<unknown>;
  runMigrations(): Promise<unknown>;
  destroy(): Promise<void>;
  driver: { createSchemaBuilder(): { log(): Promise<SqlDifference> } };
}

interface Built {
  options: { dataSourceOptions(url: string): object };
  typeorm: { DataSource: new (options: object) => DataSourceLike };
}

function built(): Built {
  return {
    options: require(join(project, 'dist/src/database/options.js')) as Built['options'],
    typeorm: require('typeorm') as Built['typeorm'],
  };
}

function entityFiles(): string[] {
  const dist = join(project, 'dist/src');
  return readdirSync(dist, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.entity.js'))
    .map((name) => join(dist, name));
}

async function difference(url: string): Promise<SqlDifference> {
  const { options, typeorm } = built();
  const source = new typeorm.DataSource({ ...options.dataSourceOptions(url), entities: entityFiles() });
  await source.initialize();
  try {
    await source.runMigrations();
    return await source.driver.createSchemaBuilder().log();
  } finally {
    await source.destroy();
  }
}

function draft(name: string, at: number, sql: SqlDifference): string {
  const className = name.replace(/(^|-)(\w)/g, (_, __, letter: string) => letter.toUpperCase());
  const body = (queries: { query: string }[]) =>
    queries.map(({ query }) => `    await runner.query(\`${query.replaceAll('`', '\\`')}\`);`).join('\n');
  return `import type { MigrationInterface, QueryRunner } from 'typeorm';

export class ${className}${at} implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
${body(sql.upQueries)}
  }

  async down(runner: QueryRunner): Promise<void> {
${body(sql.downQueries.toReversed())}
  }
}
`;
}

async function main(): Promise<void> {
  const name = process.argv[2] ?? 'change-schema';
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name)) throw new Error('Name it like add-label: small letters and dashes');
  const dataDir = mkdtempSync(join(tmpdir(), 'klaviyo-generate-'));
  const postgres = await startPostgres({ dataDir: join(dataDir, 'data') });
  try {
    const sql = await difference(postgres.url);
    if (sql.upQueries.length === 0) {
      console.log('The migrations say what the entities say: nothing to generate.');
      return;
    }
    const at = Date.now();
    const file = join(project, 'migrations', `${at}-${name}.ts`);
    writeFileSync(file, draft(name, at, sql));
    console.log(`${file}\nRead the SQL, then add the class to migrations/index.ts.`);
  } finally {
    await postgres.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
