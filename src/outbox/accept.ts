import type { Dispatcher } from './dispatcher.ts';
import type { Acceptance, Entry, Store } from './store.ts';

export type Accept = (entries: readonly Omit<Entry, 'lease'>[]) => Promise<readonly Acceptance[]>;

/**
 * Stores messages; resolves once they are durable. Where a slot is free, a message for an idle conversation is leased in
 * the very commit that stores it and delivered from memory: the usual case costs no second look at the database.
 */
export function acceptWith(
  store: Pick<Store, 'accept' | 'announce'>,
  dispatcher: Pick<Dispatcher, 'offer' | 'take' | 'withdraw' | 'wake' | 'isHeld'>,
): Accept {
  return async (entries) => {
    const offered = entries.map((entry) => {
      const account = 'delivery' in entry.placement ? entry.placement.delivery.account : undefined;
      const offer = account === undefined ? undefined : dispatcher.offer(account);
      return { account, offer, entry: { ...entry, lease: offer } };
    });
    let acceptances: readonly Acceptance[] = [];
    try {
      acceptances = await store.accept(offered.map(({ entry }) => entry));
      return acceptances;
    } finally {
      // Where nothing was stored, no slot is used.
      for (const [index, { account, offer }] of offered.entries()) {
        const claim = acceptances[index]?.claim;
        if (claim && offer) dispatcher.take(claim, offer);
        else if (account !== undefined && offer) dispatcher.withdraw(account);
        else if (account !== undefined) {
          // A slot may have got free between the offer and the commit, when there was nothing to claim yet.
          dispatcher.wake(account);
          if (acceptances.length > 0 && !dispatcher.isHeld(account)) store.announce(account);
        }
      }
    }
  };
}
