import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { NotVerified } from '../../errors.ts';
import { isWithin, TOLERANCE_SECONDS } from './compare.ts';
import { headerOf, type Scheme } from './request.ts';

/** RFC 8410: what stands before the 32 bytes of a key, to say what they are. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/** @throws {Error} when it is not 32 bytes in base64 */
export function ed25519Key(base64: string): KeyObject {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.length !== 32) throw new Error('expected a public key: 32 bytes in base64');
  return createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' });
}

/** Telnyx: Ed25519 over `{timestamp}|{body}`. https://developers.telnyx.com/docs/messaging/messages/receiving-webhooks */
export const telnyx: Scheme = (publicKeys) => {
  const keys = publicKeys.map(ed25519Key);
  return (request, { now }) => {
    const signature = headerOf(request, 'telnyx-signature-ed25519');
    const timestamp = headerOf(request, 'telnyx-timestamp');
    if (signature === undefined || timestamp === undefined) {
      return new NotVerified('The headers telnyx-signature-ed25519 and telnyx-timestamp are missing.');
    }
    const signed = Buffer.concat([Buffer.from(`${timestamp}|`), request.body]);
    const bytes = Buffer.from(signature, 'base64');
    if (!keys.some((key) => verify(null, signed, key, bytes))) {
      return new NotVerified('The signature in telnyx-signature-ed25519 does not fit the body as it arrived.');
    }
    if (isWithin(TOLERANCE_SECONDS, timestamp, now)) return undefined;
    return new NotVerified(`The time in telnyx-timestamp is more than ${TOLERANCE_SECONDS} s away from ours.`);
  };
};
