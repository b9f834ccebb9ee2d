import { setTimeout as wait } from 'node:timers/promises';
import { chance } from '../support/drill';
import type { Sandbox, SandboxAccount } from '../support/sandbox';
import type { ServiceProcess } from '../support/service';

export interface Answer {
  status: number;
  text: string;
  replayed: boolean;
  retryAfter: string | null;
}

/** One thing that a caller wants done, and what it was told. */
export interface Wish {
  kind: 'event' | 'keyed-event' | 'subscription';
  /** Tells it apart at Klaviyo: the event's `n`, the person's address. */
  mark: string;
  path: string;
  body: Record<string, unknown>;
  headers: Record<string, string>;
  /** The first answer, if there was any. */
  first?: Answer;
  /** Asked before it was answered: the process died meanwhile. */
  unanswered: number;
}

/** A crowd of callers who keep the service busy, remember every answer, and ask again what was not answered. */
export class Callers {
  readonly wishes: Wish[] = [];
  readonly refused: Answer[] = [];
  private made = 0;
  private running = false;
  private crowd: Promise<void>[] = [];

  constructor(
    private readonly service: ServiceProcess,
    private readonly userId: number,
    private readonly seed: number,
  ) {}

  begin(callers = 6): void {
    this.running = true;
    this.crowd = Array.from({ length: callers }, (_, at) => this.caller(chance(this.seed + this.made * 31 + at)));
  }

  /** Resolves when nobody calls any more. */
  async end(): Promise<void> {
    this.running = false;
    await Promise.all(this.crowd);
  }

  /** Everything that a caller was told is done. */
  get accepted(): Wish[] {
    return this.wishes.filter(({ first }) => first !== undefined && first.status < 300);
  }

  /** Asks for it once (more), exactly as the first time. Undefined: no answer. */
  async ask(wish: Wish): Promise<Answer | undefined> {
    try {
      const answer = await this.service.post(wish.path, wish.body, wish.headers);
      const text = await answer.text();
      return {
        status: answer.status,
        text,
        replayed: answer.headers.get('idempotency-replayed') === 'true',
        retryAfter: answer.headers.get('retry-after'),
      };
    } catch {
      return undefined;
    }
  }

  private async caller(random: () => number): Promise<void> {
    while (this.running) {
      const open = this.wishes.filter(({ first, unanswered }) => first === undefined && unanswered > 0);
      const wish = open.length > 0 && random() < 0.5 ? open[Math.floor(random() * open.length)] : this.wish(random());
      if (wish) await this.pursue(wish);
    }
  }

  private async pursue(wish: Wish): Promise<void> {
    const answer = await this.ask(wish);
    if (answer === undefined) {
      wish.unanswered += 1;
      await wait(20);
    } else if (answer.status < 300) wish.first ??= answer;
    else {
      this.refused.push(answer);
      await wait(50);
    }
  }

  private wish(kind: number): Wish {
    const mark = `n${++this.made}`;
    const event = { eventType: 'Stream', eventData: { mark }, profile: { externalId: `p${this.made % 7}` } };
    const keyed = { 'idempotency-key': `key-${mark}` };
    const common = { mark, unanswered: 0, path: '/trigger-event' };
    const wish: Wish =
      kind < 0.4
        ? { ...common, kind: 'event', headers: {}, body: { userId: this.userId, event: { ...event, uniqueId: mark } } }
        : kind < 0.7
          ? { ...common, kind: 'keyed-event', headers: keyed, body: { userId: this.userId, event } }
          : {
              ...common,
              kind: 'subscription',
              path: '/subscribe',
              headers: keyed,
              body: { userId: this.userId, profile: { email: `${mark}@example.com`, tags: ['t'] } },
            };
    this.wishes.push(wish);
    return wish;
  }
}

/** What stands at Klaviyo: how often each mark. */
export async function marksOf(sandbox: Sandbox, account: SandboxAccount): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const { events } = await sandbox.control<{ events: { properties: { mark?: string } }[] }>(
    'GET',
    `/accounts/${account.id}/events?limit=100000`,
  );
  for (const { properties } of events)
    if (properties.mark !== undefined) counts.set(properties.mark, (counts.get(properties.mark) ?? 0) + 1);
  return counts;
}

/** Works on a few items at once. */
export async function atOnce<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}
