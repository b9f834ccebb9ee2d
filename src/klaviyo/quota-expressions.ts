// What several statements about Klaviyo's counters say alike; `now` is a column of theirs.
/** Seconds for which it is remembered that others use the burst. */
export const OTHERS_SECONDS = 60;

/** Epoch seconds by the database's clock. */
export const NOW = `extract(epoch FROM clock_timestamp())::float8`;
/** It comes back slowly at first, then faster: looking for room beside another integration costs few 429s. */
export const PACE = `least(1, pace + 0.01 * power(greatest(0, now - paced_at) / pace_scale, 2))`;
export const HOUR = `floor(now / 3600)::bigint`;
/** The hour that a place of the ring stands for; a later one than the last write still holds what was there a round ago. */
export const HOUR_OF = `(${HOUR} - mod(${HOUR} - place + 1, 25))`;
export const RING = `unnest(hours) WITH ORDINALITY AS ring(n, place) WHERE ${HOUR_OF} <= hour`;
