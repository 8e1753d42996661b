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
  const known = knownForm(text);
  if (known !== undefined) return known;
  const isInternational = kind === 'international' && /^\d+$/.test(text);
  return (
    (isInternational ? phoneNumber(`+${text}`) : undefined) ??
    (text.startsWith('+') || country !== undefined ? phoneNumber(text, country) : undefined) ??
    text
  );
}

/** What is known of the numbers behind a calling code. */
interface NumberingPlan {
  /** What may stand before a number within the country, where it has such a prefix. */
  readonly nationalPrefix: RegExp | undefined;
  /** How many digits a number may have, in whichever of the countries it is. */
  readonly lengths: readonly number[];
}

const PLANS: ReadonlyMap<string, NumberingPlan> = new Map(
  [...Map.groupBy(getCountries(), (country) => getCountryCallingCode(country))].map(([code, countries]) => {
    return [code, planOf(code, countries)];
  }),
);

function planOf(callingCode: string, countries: readonly CountryCode[]): NumberingPlan {
  const prefix = numberingPlanOf(callingCode).nationalPrefixForParsing();
  const lengths = countries.map((country) => numberingPlanOf(country).possibleLengths());
  return {
    nationalPrefix: prefix === undefined ? undefined : new RegExp(`^(?:${prefix})`),
    lengths: numberingPlanOf(callingCode)
      .possibleLengths()
      .filter((length) => lengths.every((possible) => possible.includes(length))),
  };
}

function numberingPlanOf(codeOrCountry: string) {
  // The library's own way to it, which its types leave out: https://gitlab.com/catamphetamine/libphonenumber-js/-/blob/master/METADATA.md
  const metadata = new Metadata() as unknown as {
    selectNumberingPlan(codeOrCountry: string): void;
    readonly numberingPlan: { nationalPrefixForParsing(): string | undefined; possibleLengths(): readonly number[] };
  };
  metadata.selectNumberingPlan(codeOrCountry);
  return metadata.numberingPlan;
}

/**
 * The form that reading a number with its `+` gives, where that is known without reading it: reading takes thirty times as
 * long, and a file of senders has a million. All that it takes from such a number is what parts its digits, where the number
 * is possible, and a national prefix.
 */
function knownForm(text: string): string | undefined {
  if (!/^\+[\d ().-]{7,30}$/.test(text)) return undefined;
  const number = text.replace(/[ ().-]+/g, '');
  if (!/^\+[1-9]\d{6,14}$/.test(number)) return undefined;
  for (const end of [2, 3, 4]) {
    const plan = PLANS.get(number.slice(1, end));
    if (plan === undefined) continue;
    const rest = number.slice(end);
    if (plan.nationalPrefix?.test(rest)) return undefined;
    return plan.lengths.includes(rest.length) ? number : undefined;
  }
  return undefined;
}
