import { DAY, SECOND } from '../clock.ts';
import { ulidIndex, ulidOf } from '../ids.ts';
import { mix, Permutation, pick } from '../random.ts';
import type { EmailConsent, ProfileRow, SmsConsent } from './rows.ts';
import { noEmailConsent, noSmsConsent } from './rows.ts';
import type { Base, Order } from './table.ts';

const FIRST = ['Ada', 'Zoé', 'Noël', 'Inès', 'Jean-Luc', 'Siobhán', 'Chloé', 'Łukasz', 'Ana', 'Omar', 'Mei', 'Olga'];
const LAST = ["O'Brien", 'Byron', 'Lefèvre', 'D’Angelo', 'Müller', 'Nguyen', 'Garçon', 'Smith', 'Øster', 'Rossi'];
const PLACES: readonly (readonly [string, string, string, string, string, number, number])[] = [
  ['Paris', 'Île-de-France', 'France', '75011', 'Europe/Paris', 48.8566, 2.3522],
  ['Lyon', 'Auvergne-Rhône-Alpes', 'France', '69002', 'Europe/Paris', 45.764, 4.8357],
  ['Boston', 'MA', 'United States', '02110', 'America/New_York', 42.3601, -71.0589],
  ['Montréal', 'QC', 'Canada', 'H2X 1Y4', 'America/Toronto', 45.5019, -73.5674],
  ['København', 'Hovedstaden', 'Denmark', '1050', 'Europe/Copenhagen', 55.6761, 12.5683],
];
const TAGS = ['vip', 'newsletter', 'été 2026', 'b2b', 'wholesale', 'returning'];
const PLANS = ['free', 'pro', 'team'];
const KIND = 1;

/** Span of the generated lives: all are created before any is updated, so both orders are plain arithmetic. */
const CREATED_DAYS = 720;
const UPDATED_DAYS = 30;

export interface ProfileShape {
  seed: number;
  count: number;
  /** The instant that the generated past ends at. */
  asOf: number;
  /** The first so many rows of the update order share one second, as after an import. */
  sameSecond: number;
}

/** Generated profiles: row, id, both time orders and look-ups by identifier as pure functions of (seed, index). */
export class GeneratedProfiles implements Base<ProfileRow> {
  readonly count: number;
  readonly orders: Record<string, Order>;
  private readonly shape: ProfileShape;
  private readonly shuffle: Permutation;
  private readonly createdFrom: number;
  private readonly updatedFrom: number;

  constructor(shape: ProfileShape) {
    this.shape = shape;
    this.count = shape.count;
    this.shuffle = new Permutation(shape.count, shape.seed);
    this.createdFrom = shape.asOf - CREATED_DAYS * DAY;
    this.updatedFrom = shape.asOf - UPDATED_DAYS * DAY;
    const plain = { at: (p: number) => p, positionOf: (i: number) => i };
    this.orders = {
      id: { ...plain, key: (i) => this.id(i) },
      created: { ...plain, key: (i) => this.created(i) },
      email: { ...plain, key: (i) => this.email(i) },
      updated: {
        at: (p) => this.shuffle.at(p),
        positionOf: (i) => this.shuffle.indexOf(i),
        key: (i) => this.updated(i),
      },
    };
  }

  created(index: number): number {
    const step = ((CREATED_DAYS - UPDATED_DAYS - 1) * DAY) / Math.max(this.count, 1);
    return Math.floor((this.createdFrom + index * step) / SECOND) * SECOND;
  }

  updated(index: number): number {
    const position = Math.max(this.shuffle.indexOf(index) - this.shape.sameSecond, 0);
    const step = ((UPDATED_DAYS - 1) * DAY) / Math.max(this.count, 1);
    return Math.floor((this.updatedFrom + position * step) / SECOND) * SECOND;
  }

  id(index: number): string {
    return ulidOf(this.shape.seed, KIND, index, this.created(index));
  }

  indexOf(id: string): number {
    const index = ulidIndex(id);
    return index >= 0 && index < this.count && this.id(index) === id ? index : -1;
  }

  /** The index whose generated e-mail, phone or external id is the given one, else -1. */
  indexOfIdentifier(field: 'email' | 'phone_number' | 'external_id', value: string): number {
    const digits = { email: /^c(\d{8})\./, phone_number: /^\+1555(\d{8})$/, external_id: /^crm-(\d{8})$/ }[field].exec(
      value,
    );
    const index = digits === null ? -1 : Number(digits[1]);
    return index >= 0 && index < this.count && this.peek(index, field) === value ? index : -1;
  }

  email(index: number): string {
    const h = this.chance(index);
    const local =
      index % 97 === 5
        ? "o'brien+x"
        : index % 101 === 7
          ? 'zoé'
          : (FIRST[h % 12] as string).normalize('NFD').replace(/[^A-Za-z]/g, '');
    return `c${digits8(index)}.${local.toLowerCase()}@shop${this.shape.seed % 1000}.example.com`;
  }

  peek(index: number, field: string): unknown {
    switch (field) {
      case 'id':
        return this.id(index);
      case 'created':
        return this.created(index);
      case 'updated':
        return this.updated(index);
      case 'email':
        return this.email(index);
      case 'phone_number':
        return this.chance(index) % 3 === 0 ? `+1555${digits8(index)}` : null;
      case 'external_id':
        return this.chance(index) % 5 < 3 ? `crm-${digits8(index)}` : null;
      default:
        return undefined;
    }
  }

  row(index: number): ProfileRow {
    const h = this.chance(index);
    const h2 = mix(h, 3);
    const place = pick(PLACES, h2);
    const created = this.created(index);
    const bare = index % 13 === 4;
    return {
      id: this.id(index),
      created,
      updated: this.updated(index),
      email: this.email(index),
      phone_number: this.peek(index, 'phone_number') as string | null,
      external_id: this.peek(index, 'external_id') as string | null,
      first_name: bare ? null : pick(FIRST, h),
      last_name: bare ? null : pick(LAST, h2),
      organization: h % 7 === 0 ? `Maison ${String(h % 90)}` : null,
      locale: h % 4 === 0 ? 'fr-FR' : null,
      title: h % 9 === 0 ? 'CTO' : null,
      image: h % 11 === 0 ? `https://img.example.com/${String(index)}.png` : null,
      last_event_date: h % 3 === 1 ? created + (h2 % 600) * 3600 * SECOND : null,
      location: {
        address1: bare ? null : `${String(1 + (h % 200))} rue des Lilas`,
        address2: null,
        city: place[0],
        country: place[2],
        latitude: h2 % 2 === 0 ? place[5] : String(place[5]),
        longitude: h2 % 2 === 0 ? place[6] : String(place[6]),
        region: place[1],
        zip: place[3],
        timezone: place[4],
        ip: null,
      },
      properties: bare
        ? {}
        : {
            plan: pick(PLANS, h2),
            orders: h2 % 40,
            tags: TAGS.filter((_, bit) => ((h2 >>> (bit + 3)) & 3) === 0),
            préférence: h2 % 2 === 0 ? 'thé' : 'café',
          },
      emailConsent: emailConsent(h, created),
      smsConsent: smsConsent(h2, created, h % 3 === 0),
    };
  }

  private chance(index: number): number {
    return mix(this.shape.seed, KIND, index);
  }
}

function digits8(index: number): string {
  return String(index).padStart(8, '0');
}

function emailConsent(h: number, created: number): EmailConsent {
  const roll = (h >>> 4) % 20;
  if (roll < 12) {
    const consent = { ...noEmailConsent(), consent: 'SUBSCRIBED' as const, consentedAt: created, updatedAt: created };
    return { ...consent, method: 'PREFERENCE_PAGE', methodDetail: 'mylist', doubleOptIn: roll < 3 };
  }
  if (roll < 14) {
    const at = created + DAY;
    const gone = { ...noEmailConsent(), consent: 'UNSUBSCRIBED' as const, consentedAt: created, updatedAt: at };
    return { ...gone, method: 'PREFERENCE_PAGE', suppressions: [{ reason: 'UNSUBSCRIBE', at }] };
  }
  if (roll === 14)
    return { ...noEmailConsent(), updatedAt: created, suppressions: [{ reason: 'HARD_BOUNCE', at: created + DAY }] };
  if (roll === 15)
    return {
      ...noEmailConsent(),
      updatedAt: created,
      suppressions: [{ reason: 'USER_SUPPRESSED', at: created + 2 * DAY }],
    };
  return noEmailConsent();
}

function smsConsent(h: number, created: number, hasPhone: boolean): SmsConsent {
  if (!hasPhone || h % 2 === 0) return noSmsConsent();
  return { consent: 'SUBSCRIBED', consentedAt: created, updatedAt: created, method: 'API', methodDetail: '' };
}
