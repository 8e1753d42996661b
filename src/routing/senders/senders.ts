import { normaliseSender, type SenderRule } from '../../sender.ts';
import type { Catalog } from '../catalog.ts';
import type { ChannelConfig, RoutingFile } from '../schema/schema.ts';
import { type Packed, PackedMap } from './packed-map.ts';

/** Which auth_id each sender has: a `Map`, or what is asked in the same way. Senders are in their usual form. */
export interface SenderList {
  get(sender: string): string | undefined;
  entries(): Iterable<readonly [sender: string, authId: string]>;
}

/** The senders whose auth_id the operator's systems know, before any template. */
export interface Senders extends SenderList {
  readonly size: number;
  /** @param sender as the channels that read senders by this rule give it */
  authIdOf(sender: string, rule: SenderRule | undefined): string | undefined;
}

interface SizedList extends SenderList {
  readonly size: number;
}

/**
 * What a channel's rule makes of a sender may be another one than elsewhere (a number without `+`), so each rule has a list
 * of those that read differently under it.
 */
function sendersOf(everywhere: SizedList, byRule: ReadonlyMap<string, SenderList>): Senders {
  return {
    size: everywhere.size,
    get: (sender) => everywhere.get(sender),
    authIdOf: (sender, rule) => everywhere.get(sender) ?? (rule && byRule.get(nameOf(rule))?.get(sender)),
    entries: () => everywhere.entries(),
  };
}

function nameOf({ kind, country }: SenderRule): string {
  return `${kind} ${country}`;
}

/** Those that stand in the routing file itself. */
export function listedSenders(listed: Readonly<Record<string, string>>, rules: readonly SenderRule[]): Senders {
  const read = (rule?: SenderRule) =>
    new Map(Object.entries(listed).map(([sender, id]) => [normaliseSender(sender, rule?.country, rule?.kind), id]));
  const everywhere = read();
  const others = rules.map((rule) => {
    const own = [...read(rule)].filter(([sender]) => !everywhere.has(sender));
    return [nameOf(rule), new Map(own)] as const;
  });
  return sendersOf(everywhere, new Map(others));
}

/** Those of a senders file. @param byRule for each rule, in the order of the rules */
export function packedSenders(everywhere: Packed, byRule: readonly Packed[], rules: readonly SenderRule[]): Senders {
  const others = byRule.flatMap((packed, index) => {
    const rule = rules[index];
    return rule && packed.size > 0 ? [[nameOf(rule), new PackedMap(packed)] as const] : [];
  });
  return sendersOf(new PackedMap(everywhere), new Map(others));
}

/** One after the other; who is in both has one auth_id. */
export function joinedLists(first: SenderList, second: SenderList): SenderList {
  return {
    get: (sender) => first.get(sender) ?? second.get(sender),
    *entries() {
      yield* first.entries();
      for (const entry of second.entries()) if (first.get(entry[0]) === undefined) yield entry;
    },
  };
}

export function joinedSenders(first: Senders, second: Senders): Senders {
  const inBoth = [...first.entries()].filter(([sender]) => second.get(sender) !== undefined);
  return {
    ...joinedLists(first, second),
    size: first.size + second.size - inBoth.length,
    authIdOf: (sender, rule) => first.authIdOf(sender, rule) ?? second.authIdOf(sender, rule),
  };
}

/** How a channel reads its senders, with its name. */
export interface ChannelRule extends SenderRule {
  readonly channel: string;
}

/** How a channel reads its senders. */
export function senderRuleOf({ provider, default_country: country }: ChannelConfig, providers: Catalog): SenderRule {
  return { kind: providers[provider]?.sender ?? 'phone', country };
}

/** How the channels read senders, each way once, by the first channel that does. */
export function rulesOf({ channels }: RoutingFile, providers: Catalog): readonly ChannelRule[] {
  const rules = new Map<string, ChannelRule>();
  for (const [channel, config] of Object.entries(channels)) {
    const rule = senderRuleOf(config, providers);
    if (!rules.has(nameOf(rule))) rules.set(nameOf(rule), { ...rule, channel });
  }
  return [...rules.values()];
}
