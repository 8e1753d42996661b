import { type Document, isAlias, isMap, isScalar, isSeq } from 'yaml';
import { asWritten, type Targets } from './aliases.ts';
import { referencesIn } from './references.ts';

/** A document, and what its aliases stand for. */
interface Written {
  readonly document: Document;
  readonly targets: Targets;
}

/** A reference, and the place where what it stands for would come to stand. */
interface Use {
  readonly name: string;
  /** What holds it. */
  readonly text: unknown;
  /** The alias by which the text stands in this place, or the text itself. */
  readonly at: unknown;
  readonly place: readonly string[];
}

/** Of an account, a dry run answers by these alone: which ids it takes, and how long a text may be. */
const OPEN_IN_ACCOUNT = ['auth_id_pattern', 'max_length'];

/** Of a channel, all but how its webhooks are checked says what becomes of a message. */
function isOpen([section, name, key]: readonly string[]): boolean {
  if (name === undefined || key === undefined) return true;
  return section === 'accounts' ? OPEN_IN_ACCOUNT.includes(key) : section !== 'channels' || key !== 'verify';
}

/**
 * The references of a draft that are not to be read. Whoever may ask for a dry run writes the draft, and would read what they
 * stand for in the answer, if only by yes and no: which route fits, whether an id is allowed. What the table in force has
 * in such a place is no secret.
 */
export function* closedUses(draft: Written, inForce: Written): Generator<Use> {
  const open = new Set([...openUses(inForce)].map(({ name }) => name));
  const told = new Map<unknown, Set<string>>();
  for (const use of openUses(draft)) {
    const names = told.get(use.at) ?? new Set();
    if (open.has(use.name) || names.has(use.name)) continue;
    told.set(use.at, names.add(use.name));
    yield use;
  }
}

function* openUses({ document, targets }: Written): Generator<Use> {
  for (const use of usesIn(document.contents, [], targets)) if (isOpen(use.place)) yield use;
}

/** Places are those of the data: what stands behind an alias stands where the alias does. */
function* usesIn(node: unknown, place: readonly string[], targets: Targets, alias?: unknown): Generator<Use> {
  if (isAlias(node)) {
    yield* usesIn(targets.get(node), place, targets, alias ?? node);
  } else if (isMap(node)) {
    for (const { key, value } of node.items) {
      yield* usesIn(value, [...place, isScalar(key) ? asWritten(key) : ''], targets, alias);
    }
  } else if (isSeq(node)) {
    for (const item of node.items) yield* usesIn(item, place, targets, alias);
  } else if (isScalar(node) && typeof node.value === 'string') {
    for (const name of referencesIn(node.value)) yield { name, text: node, at: alias ?? node, place };
  }
}
