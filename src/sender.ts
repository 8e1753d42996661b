import { type CountryCode, isSupportedCountry, parsePhoneNumberFromString } from 'libphonenumber-js/min';

export type { CountryCode };

/**
 * What a provider's senders are: phone numbers, phone numbers whose digits begin with the country's code also where the `+`
 * is missing, ids of the provider's own, or e-mail addresses.
 */
export type SenderKind = 'phone' | 'international' | 'id' | 'email';

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
  const isInternational = kind === 'international' && /^\d+$/.test(text);
  return (
    (isInternational ? phoneNumber(`+${text}`) : undefined) ??
    (text.startsWith('+') || country !== undefined ? phoneNumber(text, country) : undefined) ??
    text
  );
}
