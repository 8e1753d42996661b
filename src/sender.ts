import {
  type CountryCode,
  getCountries,
  getCountryCallingCode,
  isSupportedCountry,
  Metadata,
  parsePhoneNumberFromString,
} from 'libphonenumber-js/min';

export type { CountryCode };

/**
 * What a provider's senders are: phone numbers, phone numbers whose digits begin with the country's code also where the `+`
 * is missing, ids of the provider's own, or e-mail addresses.
 */
export type SenderKind = 'phone' | 'international' | 'id' | 'email';

/** How a channel brings its senders to their one form. */
export interface SenderRule {
  readonly kind: SenderKind;
  /** Of numbers without a `+`. */
  readonly country: CountryCode | undefined;
}

export function isCountry(code: string): code is CountryCode {
  return isSupportedCountry(code);
}

/** E.164 when libphonenumber finds the number possible, else undefined. `country` is for numbers without a `+`. */
export function phoneNumber(text: string, country?: CountryCode): string | undefined {
  const parsed = parsePhoneNumberFromString(text, { extract: false, ...(country && { defaultCountry: country }) });
  // Behind one number with extensions are several people.
  return parsed?.isPossible() && !parsed.ext ? parsed.number : undefined;
}

/**
 * The one form of a sender that everything downstream sees. An id is never changed, all else is trimmed. What begins with
 * `+` is made E.164, as are digits alone where they are `international`, and any number where the channel has a
 * `default_country`. What is no possible number stays as it is: a short code, a business-scoped id of WhatsApp.
 *
 * Frozen: `auth_id`s are made from it, so any change would split live users in two.
 */
export function normaliseSender(raw: string, country?: CountryCode, kind: SenderKind = 'phone'): string {
  if (kind === 'id') return raw;
  const text = raw.trim();
  if (kind === 'email' && text.includes('@')) return text;
  if (isReadAsWritten(text)) return text;
  const isInternational = kind === 'international' && /^\d+$/.test(text);
  return (
    (isInternational ? phoneNumber(`+${text}`) : undefined) ??
    (text.startsWith('+') || country !== undefined ? phoneNumber(text, country) : undefined) ??
    text
  );
}

/** What may stand before a number within its country, where it has such a prefix, by the country's calling code. */
const NATIONAL_PREFIXES: ReadonlyMap<string, RegExp | undefined> = new Map(
  getCountries().map((country) => {
    const code = getCountryCallingCode(country);
    return [code, nationalPrefixOf(code)];
  }),
);

function nationalPrefixOf(callingCode: string): RegExp | undefined {
  // The library's own way to it, which its types leave out: https://gitlab.com/catamphetamine/libphonenumber-js/-/blob/master/METADATA.md
  const metadata = new Metadata() as unknown as {
    selectNumberingPlan(callingCode: string): void;
    readonly numberingPlan: { nationalPrefixForParsing(): string | undefined };
  };
  metadata.selectNumberingPlan(callingCode);
  const pattern = metadata.numberingPlan.nationalPrefixForParsing();
  return pattern === undefined ? undefined : new RegExp(`^(?:${pattern})`);
}

/**
 * Whether it is a number in the form that reading gives: known without reading it, which takes thirty times as long, and a
 * file of senders has a million. All that reading takes from such a number is a national prefix.
 */
function isReadAsWritten(text: string): boolean {
  if (!/^\+[1-9]\d{6,14}$/.test(text)) return false;
  for (const end of [2, 3, 4]) {
    const code = text.slice(1, end);
    if (NATIONAL_PREFIXES.has(code)) return NATIONAL_PREFIXES.get(code)?.test(text.slice(end)) !== true;
  }
  return false;
}
