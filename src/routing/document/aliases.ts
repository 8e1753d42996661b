import { type Alias, type Document, isAlias, isMap, isNode, isScalar, isSeq, type Node, type Scalar } from 'yaml';

/** What each alias (*name) of a document stands for. */
export type Targets = ReadonlyMap<unknown, Node>;

export interface AliasFault {
  readonly node: unknown;
  readonly message: string;
}

interface Linked {
  readonly targets: Targets;
  /** Aliases that stand for nothing. */
  readonly loose: readonly Alias[];
  /** Whoever went through all that is meant would not come to an end of it, or not soon. */
  readonly endless: AliasFault | undefined;
}

/** By so many characters may aliases make a file longer than it is: each is fine, and aliases of aliases multiply. */
const MOST_UNFOLDED = 4 * 1024 * 1024;
/** The schema is some ten levels deep. */
const MOST_LEVELS = 100;
export const TOO_DEEP = 'it is nested too deeply';
const TOO_MUCH = 'its aliases (*name) stand for too much, or for themselves; write the values out';

/** In one walk: the parser's own way looks through the whole document for each alias. */
export function linked({ contents }: Document): Linked {
  const targets = new Map<unknown, Node>();
  const loose: Alias[] = [];
  const anchors = new Map<string, Node>();
  const lengths = new Map<unknown, number>();
  let endless: AliasFault | undefined;
  let unfolded = 0;

  /** How long it is, written out. */
  const lengthOf = (node: unknown, level: number): number => {
    if (endless !== undefined || !isNode(node)) return 1;
    if (level > MOST_LEVELS) endless = { node, message: TOO_DEEP };
    if (isAlias(node)) return lengthOfAlias(node);
    if (node.anchor !== undefined) anchors.set(node.anchor, node);
    const length = 1 + ownLength(node, level);
    lengths.set(node, length);
    return length;
  };
  const ownLength = (node: Node, level: number): number => {
    if (isScalar(node)) return String(node.value).length;
    const parts = isMap(node) ? node.items.flatMap(({ key, value }) => [key, value]) : isSeq(node) ? node.items : [];
    return parts.reduce<number>((sum, part) => sum + lengthOf(part, level + 1), 0);
  };
  const lengthOfAlias = (alias: Alias): number => {
    const target = anchors.get(alias.source);
    if (target === undefined) {
      loose.push(alias);
      return 1;
    }
    targets.set(alias, target);
    // What is not measured yet is not at its end: the alias stands within it.
    const length = lengths.get(target) ?? Number.POSITIVE_INFINITY;
    unfolded += length;
    if (unfolded > MOST_UNFOLDED) endless ??= { node: alias, message: TOO_MUCH };
    return length;
  };

  lengthOf(contents, 0);
  return { targets, loose, endless };
}

/** The document as data. What an alias stands for is there once. */
export function dataOf({ contents }: Document, targets: Targets): unknown {
  const known = new Map<unknown, unknown>();
  const made = (node: unknown): unknown => {
    if (isScalar(node)) return node.value;
    if (isAlias(node)) return made(targets.get(node));
    if (known.has(node)) return known.get(node);
    const data = isMap(node)
      ? Object.fromEntries(node.items.map(({ key, value }) => [isScalar(key) ? asWritten(key) : '', made(value)]))
      : isSeq(node)
        ? node.items.map(made)
        : null;
    known.set(node, data);
    return data;
  };
  return made(contents);
}

/** Numbers keep the digits that they were written with. */
export function asWritten({ value, source }: Scalar): string {
  return typeof value === 'number' && source !== undefined ? source : String(value);
}
