/** Numbers above this are milliseconds: as seconds they would lie beyond the year 5138. */
const LARGEST_SECONDS = 99_999_999_999;

const ZONE = /(z|[+-]\d{2}(:?\d{2})?)$/i;
const COMPACT = /^(20\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})$/;

/**
 * A time as senders write it, as ISO 8601 in UTC: ISO 8601, `YYYY-MM-DD hh:mm:ss`, `YYYYMMDDhhmmss`, Unix time in seconds
 * (also with a fraction) or milliseconds. Without a zone it is taken as UTC, never as the zone that this process happens to
 * run in. Undefined for anything else: `11/22/2026` is two different days.
 */
export function toIso(value: unknown): string | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const text = String(value).trim().replace(COMPACT, '$1-$2-$3T$4:$5:$6');
  const isUnix = /^\d{1,15}(\.\d{1,9})?$/.test(text);
  if (!isUnix && !/^\d{4}-\d{2}-\d{2}/.test(text)) return undefined;
  const timeOfDay = text.slice('2026-11-22'.length);
  const zoned = timeOfDay === '' || ZONE.test(timeOfDay) ? text : `${text}Z`;
  const time = new Date(isUnix ? (Number(text) > LARGEST_SECONDS ? Number(text) : Number(text) * 1_000) : zoned);
  return Number.isNaN(time.getTime()) ? undefined : time.toISOString();
}
