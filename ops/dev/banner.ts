/** What the last words of a start are made of. */
export interface BannerFacts {
  url: string;
  docs: boolean;
  /** A generated key; undefined when the operator configured one, which is not shown. */
  serviceKey: string | undefined;
  sandbox: { url: string; privateKey: string } | undefined;
  klaviyo: string | undefined;
  /** Where the embedded database lies; undefined when `DATABASE_URL` names another. */
  database: string | undefined;
}

/** The block that tells a newcomer where everything is and what to paste first. */
export function banner(facts: BannerFacts): string {
  const key = facts.serviceKey ?? '<one of your SERVICE_API_KEYS>';
  const privateKey = facts.sandbox?.privateKey ?? 'pk_<your private key>';
  const rows: [string, string][] = [
    ['address', `${facts.url}/api/v1/klaviyo`],
    ...(facts.docs ? [['documents', `${facts.url}/docs`] satisfies [string, string]] : []),
    ['service key', key],
    ['database', facts.database ? `embedded PostgreSQL in ${facts.database}` : 'the one of DATABASE_URL'],
    ['Klaviyo', facts.sandbox ? `sandbox at ${facts.sandbox.url}` : (facts.klaviyo ?? 'https://a.klaviyo.com')],
    ...(facts.sandbox ? [['demo key', facts.sandbox.privateKey] satisfies [string, string]] : []),
  ];
  const line = '-'.repeat(78);
  return [
    '',
    line,
    'The Klaviyo service of Crealia is ready.',
    '',
    ...rows.map(([name, value]) => `  ${name.padEnd(12)} ${value}`),
    '',
    `A first call, which connects ${facts.sandbox ? 'the demo account' : 'an account'} for user 123:`,
    '',
    `  curl -sS ${facts.url}/api/v1/klaviyo/connect \\`,
    `    -H 'Authorization: Bearer ${key}' \\`,
    `    -H 'Content-Type: application/json' \\`,
    `    -d '{"userId":123,"privateApiKey":"${privateKey}"}'`,
    '',
    `${facts.sandbox ? 'The whole story: npm run demo (in another terminal). ' : ''}Ctrl-C stops everything.`,
    line,
    '',
  ].join('\n');
}
