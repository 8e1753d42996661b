import { NotVerified } from '../../errors.ts';
import { matchesAny } from './compare.ts';
import { headerOf, type RawRequest, type Scheme } from './request.ts';

/** The secret stands in a header, after `prefix` where there is one (`Bearer `). */
export function inHeader(name: string, prefix = ''): Scheme {
  return (secrets) => {
    const accepted = secrets.map((secret) => prefix + secret);
    return (request) => {
      const given = headerOf(request, name);
      if (given === undefined) return new NotVerified(`The header ${name} is missing.`);
      if (matchesAny(accepted, given)) return undefined;
      return new NotVerified(`The header ${name} does not hold the secret of this channel.`);
    };
  };
}

/** The secret stands in the URL's query, once, under one of the names. */
export function inQuery(...names: readonly string[]): Scheme {
  return (secrets) => (request) => {
    const given = names.flatMap((name) => request.query.getAll(name));
    const which = `The query parameter ${names.join(' or ')}`;
    if (given.length === 0) return new NotVerified(`${which} is missing.`);
    if (given.length === 1 && matchesAny(secrets, given)) return undefined;
    return new NotVerified(`${which} does not hold the secret of this channel.`);
  };
}

/** RFC 7617. Each secret is `user:password`. */
export const basic: Scheme = (secrets) => (request) => {
  const refuse = (why: string) => new NotVerified(why, { headers: { 'WWW-Authenticate': 'Basic realm="webhooks"' } });
  const credentials = basicCredentials(request);
  if (credentials === undefined) return refuse('The header Authorization: Basic is missing.');
  return matchesAny(secrets, credentials)
    ? undefined
    : refuse('The user name or password is not that of this channel.');
};

/** `user:password` of a request, as they are in its header. */
export function basicCredentials(request: RawRequest): string | undefined {
  const given = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(headerOf(request, 'authorization') ?? '')?.[1];
  return given === undefined ? undefined : Buffer.from(given, 'base64').toString('utf8');
}
