import { createHash, timingSafeEqual } from 'node:crypto';

/** Digests first, so that neither content nor length of what is accepted can be read off the clock; no early exit. */
export function matchesAny(accepted: readonly string[], given: string | readonly string[]): boolean {
  const digests = [given].flat().map((text) => hash('sha256', text));
  return accepted
    .map((text) => hash('sha256', text))
    .flatMap((wanted) => digests.map((digest) => timingSafeEqual(wanted, digest)))
    .reduce((found, isEqual) => found || isEqual, false);
}

export function hash(algorithm: 'md5' | 'sha256', content: string | Buffer): Buffer {
  return createHash(algorithm).update(content).digest();
}

/** The age that a signed time may have, either way, where a scheme does not say: clocks are minutes apart at worst. */
export const TOLERANCE_SECONDS = 300;

/** `time` is Unix time as text: seconds, or milliseconds when it is too large to be seconds of this millennium. */
export function isWithin(seconds: number, time: string, now: number): boolean {
  if (!/^\d{1,15}$/.test(time)) return false;
  const ms = Number(time) > 99_999_999_999 ? Number(time) : Number(time) * 1_000;
  return Math.abs(now - ms) <= seconds * 1_000;
}
