import type { Offer } from './topics';
import type { Delivery } from './webhook.entity';

/** The topics of an account as its user sees them. */
export interface TopicsView {
  topics: { id: string; integration: string; name: string }[];
  delivery: Delivery;
}

/** @param canPush whether this service has an address that Klaviyo reaches */
export function topicsView(offer: Offer, canPush: boolean): TopicsView {
  return {
    topics: offer.topics.map((id) => {
      const [, integration = '', name = id] = /^event:([^.]*)\.(.*)$/.exec(id) ?? [];
      return { id, integration, name };
    }),
    delivery: offer.withoutPush === null && canPush ? 'push' : 'poll',
  };
}
