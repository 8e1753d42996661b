import { messageOf, propertyOf } from '../fault.ts';

/** Exit codes of sysexits.h: what a supervisor should do with a start that failed. */
const EXIT_FAILED = 1;
/** EX_UNAVAILABLE: what it needs is not there. */
const EXIT_UNAVAILABLE = 69;
/** EX_TEMPFAIL: try again: somebody else has it right now, or there is no room. */
const EXIT_LATER = 75;
/** EX_CONFIG: trying again will not help. */
const EXIT_CONFIG = 78;

const CODES: Readonly<Record<string, number>> = {
  BridgeRefused: EXIT_FAILED,
  BridgeUnreachable: EXIT_UNAVAILABLE,
  InitRefused: EXIT_FAILED,
  PortInUse: EXIT_LATER,
  FileInUse: EXIT_LATER,
  StoreUnavailable: EXIT_LATER,
  CommitUnknown: EXIT_LATER,
  Contended: EXIT_LATER,
  ListenRefused: EXIT_CONFIG,
  SettingsRefused: EXIT_CONFIG,
  RoutingRefused: EXIT_CONFIG,
  UnknownChannel: EXIT_FAILED,
  PayloadRefused: EXIT_FAILED,
  RollbackRefused: EXIT_FAILED,
  NothingKept: EXIT_FAILED,
  FileUnreadable: EXIT_FAILED,
  StoreRefused: EXIT_CONFIG,
};

export function exitCodeOf(error: unknown): number {
  return CODES[nameOf(error)] ?? EXIT_FAILED;
}

/** What was foreseen is told in its own words; a fault of ours with its stack. */
export function explain(error: unknown): string {
  return nameOf(error) in CODES ? messageOf(error) : String(propertyOf(error, 'stack') ?? error);
}

function nameOf(error: unknown): string {
  return String(propertyOf(error, 'name'));
}
