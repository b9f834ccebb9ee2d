import type { Context, Reply } from '../context.ts';
import { pageLinks, resource, single } from '../context.ts';
import { notFound } from '../errors.ts';
import type { JsonObject } from '../json.ts';

function accountResource(context: Context): JsonObject {
  const { account, revision } = context;
  return resource(context, 'account', account.id, 'accounts', {
    ...(revision >= '2023-12-15' ? { test_account: false } : {}),
    contact_information: {
      default_sender_name: account.organizationName,
      default_sender_email: `contact@${account.id.toLowerCase()}.example.com`,
      website_url: `https://${account.id.toLowerCase()}.example.com`,
      organization_name: account.organizationName,
      street_address: {
        address1: '12 rue des Lilas',
        address2: '',
        city: 'Paris',
        region: 'Île-de-France',
        country: 'France',
        zip: '75011',
      },
    },
    industry: 'Software / SaaS',
    timezone: account.timezone,
    preferred_currency: account.currency,
    public_api_key: account.id,
    ...(revision >= '2024-06-15' ? { locale: 'fr-FR' } : {}),
  });
}

/** The one account that the key belongs to. */
export function getAccounts(context: Context): Reply {
  return { status: 200, document: { data: [accountResource(context)], links: pageLinks(context, null) } };
}

export function getAccount(context: Context): Reply {
  const id = context.params.id ?? '';
  if (id !== context.account.id) throw notFound('account', id);
  return { status: 200, document: single(context, accountResource(context)) };
}
