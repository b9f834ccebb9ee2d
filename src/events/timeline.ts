/** Something that a person did or that happened to them, as Klaviyo recorded it. */
export interface TimelineEvent {
  /** Klaviyo's. */
  id: string;
  /** Of what kind it is; null where Klaviyo does not say, or has forgotten the name. */
  metric: { id: string | null; name: string | null };
  profileId: string;
  occurredAt: string;
  /** Klaviyo's `$value`, where it is a number. */
  value: number | null;
  properties: Readonly<Record<string, unknown>>;
}
