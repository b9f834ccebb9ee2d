import { Clock } from '../../src/common/clock';
import { WebhookTickJob } from '../../src/webhooks/health.job';
import { WebhookSecrets } from '../../src/webhooks/webhooks.secrets';
import { WebhooksSystemRepository } from '../../src/webhooks/webhooks.system.repository';
import type { AppOptions } from '../support/app';
import type { Sandbox, SandboxAccountOptions } from '../support/sandbox';
import { API, openStage, type Reader, type ReadsStage } from './reads-stage';

export const PUBLIC_URL = 'https://hooks.crealia.test';
export const OPENED = 'event:klaviyo.opened_email';
export const CLICKED = 'event:klaviyo.clicked_email';
export const ORDERED = 'event:api.placed_order';

export interface Answer {
  status: number;
  body: Record<string, unknown> & {
    code?: string;
    errors?: { field: string }[];
    webhook: ShownWebhook;
    webhooks: ShownWebhook[];
  };
}

/** As the service shows it. */
export interface ShownWebhook {
  id: string;
  klaviyoWebhookId: string | null;
  name: string;
  description: string | null;
  topics: string[];
  delivery: string;
  status: string;
  endpointUrl: string | null;
  createdAt: string;
  stats: Record<string, unknown>;
}

/** As the sandbox keeps it, with what no API call ever shows. */
export interface KeptWebhook {
  id: string;
  name: string;
  description: string | null;
  endpointUrl: string;
  secret: string;
  enabled: boolean;
  topics: string[];
}

/** A user with an account whose webhooks are looked at from both sides. */
export interface Owner extends Reader {
  call(method: 'get' | 'post' | 'patch' | 'delete', path: string, input?: object, headers?: object): Promise<Answer>;
  /** Makes one, or throws. */
  create(input?: object): Promise<ShownWebhook>;
  kept(): Promise<KeptWebhook[]>;
  /** Changes a webhook at Klaviyo as somebody there might. */
  patchKept(id: string, change: Partial<KeptWebhook>): Promise<void>;
}

export interface WebhooksStage extends ReadsStage {
  /** With webhooks in the plan, unless said otherwise. */
  owner(userId: number, account?: SandboxAccountOptions): Promise<Owner>;
  ownerOf(reader: Reader): Owner;
  /** What the clock does every minute. */
  tick(): Promise<void>;
  /** The secrets that the receiver accepts, the current one first. */
  receiving(klaviyoWebhookId: string): Promise<string[]>;
  /** Moves the service's clock for decisions. */
  advance(ms: number): void;
}

/** The real time, moved. */
class MovedClock extends Clock {
  offset = 0;

  override now(): number {
    return Date.now() + this.offset;
  }
}

export async function openWebhooksStage(options: AppOptions = {}, shared?: Sandbox): Promise<WebhooksStage> {
  const env = { PUBLIC_BASE_URL: `${PUBLIC_URL}/`, KLAVIYO_MAX_RETRIES: '1', ...options.env };
  const clock = new MovedClock();
  const stage = await openStage({ clock, ...options, env }, shared);
  const { app } = stage.app;
  return {
    ...stage,
    ownerOf: (reader) => ownerOf(stage, reader),
    tick: () => app.get(WebhookTickJob).run(),
    receiving: async (klaviyoWebhookId) => {
      const [found] = await app.get(WebhooksSystemRepository).byKlaviyoId(klaviyoWebhookId);
      if (!found) return [];
      const { userId, id, sealedSecrets } = found;
      return Promise.all(sealedSecrets.map((sealed) => app.get(WebhookSecrets).open(userId, id, sealed)));
    },
    advance: (ms) => {
      clock.offset += ms;
    },
    owner: async (userId, account = {}) => {
      const reader = await stage.connect(userId, { plan: { advancedKdp: true }, ...account });
      return ownerOf(stage, reader);
    },
  };
}

function ownerOf({ app, sandbox }: Pick<ReadsStage, 'app' | 'sandbox'>, reader: Reader): Owner {
  const call: Owner['call'] = async (method, path, input = {}, headers = {}) => {
    const request = app.http[method](`${API}${path}`).set({ ...app.asService, 'Accept-Language': 'en', ...headers });
    const all = { userId: reader.userId, ...input };
    const sent = method === 'get' || method === 'delete' ? request.query(all) : request.send(all);
    const { status, body } = await sent;
    return { status, body: body as Answer['body'] };
  };
  const at = `/accounts/${reader.account.id}/webhooks`;
  return {
    ...reader,
    call,
    create: async (input = {}) => {
      const answer = await call('post', '/webhooks', { name: 'Crealia', topics: [OPENED], ...input });
      if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
      return answer.body.webhook;
    },
    kept: async () => (await sandbox.control<{ webhooks: KeptWebhook[] }>('GET', at)).webhooks,
    patchKept: async (id, change) => {
      await sandbox.control('PATCH', `${at}/${id}`, change);
    },
  };
}
