import type { Operation } from '../context.ts';
import { getAccount, getAccounts } from '../resources/accounts.ts';
import { always, tier } from './common.ts';

const query = always({ fields: ['account'] });

export const ACCOUNT_OPERATIONS: readonly Operation[] = [
  {
    id: 'getAccounts',
    method: 'GET',
    path: '/api/accounts',
    scopes: ['accounts:read'],
    since: '2023-06-15',
    tier: tier('XS'),
    query,
    handle: getAccounts,
  },
  {
    id: 'getAccount',
    method: 'GET',
    path: '/api/accounts/{id}',
    scopes: ['accounts:read'],
    since: '2023-06-15',
    tier: tier('XS'),
    query,
    handle: getAccount,
  },
];
