import { type KeyObject, verify, X509Certificate } from 'node:crypto';
import { NotVerified, Unavailable } from '../../errors.ts';
import { isObject, jsonIn } from '../payload.ts';
import type { Check } from './request.ts';

/**
 * Amazon SNS: RSA over some of the fields, by a certificate whose address the message itself gives.
 * https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
 */

const SIGNED = ['Message', 'MessageId', 'Subject', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'];
/** Those of a notification. */
const NOT_SIGNED_IN_A_NOTIFICATION = ['SubscribeURL', 'Token'];
const DIGESTS: ReadonlyMap<string, string> = new Map([
  ['1', 'RSA-SHA1'],
  ['2', 'RSA-SHA256'],
]);

/**
 * Whether a URL is of SNS. Without this rule the message would say by whose key it is to be believed, and whom we are to
 * call. No more than a region may stand in it: `sns.s3-us-west-2` would be anybody's bucket.
 */
export function isAmazons(text: string): boolean {
  const url = URL.parse(text);
  const isOfSns = /^https:\/\/sns\.[a-z]+(-[a-z]+)+-\d+\.amazonaws\.com(\.cn)?$/.test(url?.origin ?? '');
  return isOfSns && url?.username === '' && url.password === '' && url.hash === '';
}

/** A certificate of the topic's own region: the path is that of a file, since with a query the API would answer. */
function isCertificateOf(topicArn: string, text: string): boolean {
  const url = URL.parse(text);
  const region = topicArn.split(':')[3];
  return (
    url !== null &&
    isAmazons(text) &&
    url.hostname.startsWith(`sns.${region}.`) &&
    /^\/[\w-]+\.pem$/.test(url.pathname) &&
    url.search === ''
  );
}

/** @throws {Error} when it is not one certificate and nothing else: one may stand within an answer that others have written */
export function keyOfCertificate(pem: string): KeyObject {
  if (!/^\s*-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*$/.test(pem)) throw new Error('no certificate');
  return new X509Certificate(pem).publicKey;
}

/** Anyone can sign a message, with a topic of their own: so the topic must be the channel's. */
export function sns(topicArn: string, pinned: string | undefined): Check {
  const pinnedKey = pinned === undefined ? undefined : keyOfCertificate(pinned);
  return async ({ body }, { certificateKey }) => {
    const fields = fieldsOf(body.toString('utf8'));
    const { TopicArn, SigningCertURL: address = '', Signature = '', SignatureVersion = '', Type } = fields;
    if (TopicArn !== topicArn)
      return new NotVerified("The TopicArn is not the channel's; raw message delivery has none.");
    const digest = DIGESTS.get(SignatureVersion);
    if (digest === undefined) return new NotVerified('The SignatureVersion is neither 1 nor 2.');
    if (!isCertificateOf(topicArn, address)) {
      return new NotVerified("The SigningCertURL is not one of Amazon SNS in the topic's region.");
    }
    const unsigned = Type === 'Notification' ? NOT_SIGNED_IN_A_NOTIFICATION : ['Subject'];
    const text = SIGNED.filter((name) => !unsigned.includes(name) && fields[name] !== undefined)
      .map((name) => `${name}\n${fields[name]}\n`)
      .join('');
    const key = pinnedKey ?? (await certificateKey(address));
    if (key instanceof Unavailable) return key;
    const isSigned = verify(digest, Buffer.from(text), key, Buffer.from(Signature, 'base64'));
    return isSigned ? undefined : new NotVerified('The Signature does not fit the message as it arrived.');
  };
}

/** Nothing that is signed is other than text. */
function fieldsOf(text: string): Readonly<Record<string, string | undefined>> {
  const data = jsonIn(text);
  if (!isObject(data)) return {};
  return Object.fromEntries(
    Object.entries(data).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
}
