/** Channels as callers name them, and as Klaviyo's campaign filter does. */
const KLAVIYO_CHANNELS = { email: 'email', sms: 'sms', push: 'mobile_push' } as const;

export type Channel = keyof typeof KLAVIYO_CHANNELS;
export const CHANNELS = Object.keys(KLAVIYO_CHANNELS) as Channel[];
/** The first revision that knows push campaigns. */
export const PUSH_SINCE = '2025-01-15';

export function klaviyoChannel(channel: Channel): string {
  return KLAVIYO_CHANNELS[channel];
}

/** Klaviyo's word in ours; a channel that is none of ours keeps its name. */
export function channelOf(word: string | null | undefined): string | null {
  if (word === null || word === undefined || word === '') return null;
  return CHANNELS.find((channel) => KLAVIYO_CHANNELS[channel] === word) ?? word;
}
