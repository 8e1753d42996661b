import { DEFAULT_AUTH_ID_PATTERN } from '../schema/parts.ts';

/**
 * A part of the file in one form, so that what means the same is the same: numbers and words are text, a list of one is
 * its item, names are in order, and what the schema takes where nothing is written is written out.
 */
export type Plain = string | readonly Plain[] | PlainMap;
export interface PlainMap {
  readonly [name: string]: Plain;
}

/** By place: `channel.verify.hmac` is that of any channel. */
const DEFAULTS: Readonly<Record<string, PlainMap>> = {
  account: { allow_http: 'false', register_users: 'true', auth_id_pattern: DEFAULT_AUTH_ID_PATTERN },
  channel: { provider: 'generic' },
  'channel.verify': { mode: 'enforce' },
  'channel.verify.hmac': {
    algorithm: 'sha256',
    encoding: 'hex',
    prefix: '',
    signed: '{body}',
    tolerance_seconds: '300',
  },
  'channel.verify.stripe': { header: 'Stripe-Signature' },
  route: { when: {}, on_unknown: 'retry', on_dead: 'continue' },
};

export function plain(value: unknown, place: string): Plain {
  if (Array.isArray(value)) {
    return value.length === 1 ? plain(value[0], place) : value.map((item) => plain(item, place));
  }
  return typeof value === 'object' && value !== null ? plainMap(value, place) : String(value);
}

export function plainMap(map: object, place: string): PlainMap {
  const written = Object.entries(map).map(([name, value]) => [name, plain(value, `${place}.${name}`)] as const);
  const whole = Object.entries({ ...DEFAULTS[place], ...Object.fromEntries(written) });
  return Object.fromEntries(whole.sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function isMap(value: Plain | undefined): value is PlainMap {
  return typeof value === 'object' && !Array.isArray(value);
}

/** A name in the file may be one that every object answers to, such as `constructor`. */
export function at(map: PlainMap, name: string): Plain | undefined {
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

/** Equal for what is the same, and only then. */
export function keyOf(value: Plain | undefined): string {
  return JSON.stringify(value) ?? '';
}

/** The names of both, each once: first those that were there before. */
export function namesOf(before: object, after: object): readonly string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])];
}
