import { messageOf, propertyOf } from '../../fault.ts';
import { StoreRefused, StoreUnavailable } from '../store.ts';

/** What PostgreSQL says when it does not do what it was asked, and what that means for us. */

/** Somebody else holds what is to be changed, for longer than is waited for. */
export class Contended extends StoreUnavailable {
  override readonly name = 'Contended';
}

/** A commit was asked for, and whether it was made is not known. */
export class CommitUnknown extends StoreUnavailable {
  override readonly name = 'CommitUnknown';
}

/** Each has a digit, which the names of the system's errors (EPIPE) lack. */
const SQLSTATE = /^(?=.*\d)[0-9A-Z]{5}$/;
/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const CONFLICTS = new Set(['40001', '40P01']);
/** Connections, resources, operators' intervention, the system; read-only after a failover. */
const TROUBLE = /^(08|53|57|58|25006)/;
const LOCK_NOT_AVAILABLE = '55P03';
const FORBIDDEN = '42501';
/** The password, the role, the database, a privilege: waiting does not help. */
const REFUSED = new RegExp(`^(28|3D|${FORBIDDEN})`);

/** Others were in the way; it may be done again. */
export function isConflict(error: unknown): boolean {
  return CONFLICTS.has(codeOf(error));
}

/** What the database said, else that it cannot be used, in words that say what to do. */
export function refusalOf(cause: unknown, place: string): unknown {
  const code = codeOf(cause);
  if (REFUSED.test(code)) {
    const advice =
      code === FORBIDDEN
        ? 'give its user the schema, or the right to create one (see "schema" in DATABASE_URL)'
        : 'see user, password and database in DATABASE_URL';
    return new StoreRefused(`${place} refuses the bridge (${messageOf(cause)}); ${advice}.`, { cause });
  }
  if (code === LOCK_NOT_AVAILABLE) return new Contended('others hold what is to be changed.', { cause });
  if (TROUBLE.test(code) || !SQLSTATE.test(code)) {
    return new StoreUnavailable(`${place} cannot be used right now (${messageOf(cause) || code}).`, { cause });
  }
  return cause;
}

/** The connection is of no more use. */
export function breaksOff(cause: unknown): boolean {
  const code = codeOf(cause);
  return !SQLSTATE.test(code) || /^(08|57P|25006)/.test(code);
}

function codeOf(error: unknown): string {
  return String(propertyOf(error, 'code') ?? '');
}
