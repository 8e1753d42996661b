import { normaliseSender } from '../sender.ts';
import type { Catalog } from './catalog.ts';
import type { SourceDocument } from './document/document.ts';
import { nameOf, type Path, type Problem } from './problem.ts';
import type { AccountConfig, RoutingFile } from './schema/schema.ts';
import { rulesOf } from './senders/senders.ts';
import type { Template } from './templates.ts';

/** What is fine by itself and wrong beside the rest of the file: names that lead nowhere, ids that no account accepts. */
export function contradictions(file: RoutingFile, document: SourceDocument, providers: Catalog): Problem[] {
  return [...routeProblems(file, document), ...senderProblems(file, document, providers)];
}

function* routeProblems({ accounts, channels, routes }: RoutingFile, document: SourceDocument) {
  const problem = (path: Path, code: string, message: string) =>
    document.problem(path, code, `${nameOf(path)}: ${message}`);
  for (const [index, { account, auth_id, channel }] of routes.entries()) {
    const path = ['routes', index];
    if (!Object.hasOwn(channels, channel)) {
      yield problem([...path, 'channel'], 'dangling', `there is no channel "${channel}"; ${acceptedOf(channels)}`);
    }
    if (account === undefined && Object.keys(accounts).length > 1) {
      yield problem(path, 'missing', `account is missing, and there is more than one; ${acceptedOf(accounts)}`);
    }
    if (account !== undefined && !Object.hasOwn(accounts, account)) {
      yield problem([...path, 'account'], 'dangling', `there is no account "${account}"; ${acceptedOf(accounts)}`);
    }
    const used = Object.entries(accounts).find(([name]) => account === undefined || account === name)?.[1];
    const fault = auth_id && used && neverFits(auth_id, used.auth_id_pattern);
    if (fault) yield problem([...path, 'auth_id'], 'impossible_auth_id', fault);
  }
}

function acceptedOf(map: object): string {
  return `accepted are ${Object.keys(map).join(', ')}`;
}

/**
 * Why the template can never give an id that the account accepts. Only what is certain, but for this: a value that
 * gives nothing would leave an id that all senders share, so each is taken to give something.
 */
function neverFits({ outline, isConstant }: Template, pattern: AccountConfig['auth_id_pattern']): string | undefined {
  const id = outline.trim();
  const advice = `which ${pattern.source} does not allow; use other text, or set the account's auth_id_pattern`;
  if (isConstant) return pattern.fits(id) ? undefined : `is always "${id}", ${advice}`;
  const odd = pattern.isDefault ? /[^A-Za-z0-9]+/.exec(id)?.[0] : undefined;
  return odd && `always holds ${JSON.stringify(odd)}, ${advice}`;
}

function* senderProblems(file: RoutingFile, document: SourceDocument, providers: Catalog) {
  yield* doubleSenders(file, document, providers);
  for (const [sender, authId] of Object.entries(file.senders)) {
    const path = ['senders', sender];
    if (Object.values(file.accounts).some(({ auth_id_pattern }) => auth_id_pattern.fits(authId))) continue;
    const message = `${nameOf(path)}: "${authId}" fits no account's auth_id_pattern; Haptik wants letters and digits`;
    yield document.problem(path, 'bad_auth_id', message);
  }
}

/** Two keys may be one sender, everywhere or by how a channel reads them; there, only two ids for one are wrong. */
function* doubleSenders(file: RoutingFile, document: SourceDocument, providers: Catalog) {
  const { senders } = file;
  const told = new Set<string>();
  for (const rule of [undefined, ...rulesOf(file, providers)]) {
    const written = new Map<string, string>();
    for (const [sender, authId] of Object.entries(senders)) {
      const normal = normaliseSender(sender, rule?.country, rule?.kind);
      const first = written.get(normal);
      written.set(normal, first ?? sender);
      if (first === undefined || told.has(sender)) continue;
      if (rule !== undefined && senders[first] === authId) continue;
      told.add(sender);
      const where = rule === undefined ? '' : ` to channel ${rule.channel}`;
      const message = `${nameOf(['senders', sender])}: is the same sender as "${first}"${where}`;
      yield document.problem(['senders'], 'duplicate', message, sender);
    }
  }
}
