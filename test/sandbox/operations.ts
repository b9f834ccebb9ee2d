import type { Operation } from './context.ts';
import { ACCOUNT_OPERATIONS } from './operations/accounts.ts';
import { CAMPAIGN_OPERATIONS } from './operations/campaigns.ts';
import { EVENT_OPERATIONS } from './operations/events.ts';
import { GROUP_OPERATIONS } from './operations/groups.ts';
import { JOB_OPERATIONS } from './operations/jobs.ts';
import { PROFILE_OPERATIONS } from './operations/profiles.ts';
import { STATISTICS_OPERATIONS } from './operations/statistics.ts';
import { WEBHOOK_OPERATIONS } from './operations/webhooks.ts';

/** Every operation that the sandbox plays: the table that routing, quota, scopes and validation read. */
export const OPERATIONS: readonly Operation[] = [
  ...ACCOUNT_OPERATIONS,
  ...PROFILE_OPERATIONS,
  ...JOB_OPERATIONS,
  ...GROUP_OPERATIONS,
  ...CAMPAIGN_OPERATIONS,
  ...EVENT_OPERATIONS,
  ...STATISTICS_OPERATIONS,
  ...WEBHOOK_OPERATIONS,
];

interface Compiled {
  operation: Operation;
  segments: readonly string[];
}

const BY_LENGTH = new Map<number, Compiled[]>();
for (const operation of OPERATIONS) {
  const segments = operation.path.slice(1).split('/');
  const known = BY_LENGTH.get(segments.length) ?? [];
  known.push({ operation, segments });
  BY_LENGTH.set(segments.length, known);
}

export interface Match {
  operation: Operation;
  params: Record<string, string>;
}

/** Finds the operation of a path without trailing slash; the methods that the path has when the method is none of them. */
export function route(method: string, path: string): Match | { methods: string[] } {
  const parts = path.slice(1).split('/');
  const methods: string[] = [];
  for (const { operation, segments } of BY_LENGTH.get(parts.length) ?? []) {
    const params: Record<string, string> = {};
    const fits = segments.every((segment, at) => {
      const part = parts[at] as string;
      if (!segment.startsWith('{')) return segment === part;
      params[segment.slice(1, -1)] = decodeSegment(part);
      return part !== '';
    });
    if (!fits) continue;
    if (operation.method === method) return { operation, params };
    methods.push(operation.method);
  }
  return { methods };
}

function decodeSegment(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
