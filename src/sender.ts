import { type CountryCode, isSupportedCountry, parsePhoneNumberFromString } from 'libphonenumber-js/min';

export type { CountryCode };

export function isCountry(code: string): code is CountryCode {
  return isSupportedCountry(code);
}

/** E.164 when libphonenumber finds the number possible, else undefined. `country` is for numbers without a `+`. */
export function phoneNumber(text: string, country?: CountryCode): string | undefined {
  const parsed = parsePhoneNumberFromString(text, { extract: false, ...(country && { defaultCountry: country }) });
  return parsed?.isPossible() ? parsed.number : undefined;
}

/**
 * The one form of a sender that everything downstream sees: trimmed, and E.164 where it is a phone number, that is where
 * it begins with `+` or the channel has a `default_country`.
 *
 * Frozen: `auth_id`s are made from it, so any change would split live users in two.
 */
export function normaliseSender(raw: string, country?: CountryCode): string {
  const text = raw.trim();
  return (text.startsWith('+') || country !== undefined ? phoneNumber(text, country) : undefined) ?? text;
}
