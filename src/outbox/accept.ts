import type { Dispatcher } from './dispatcher.ts';
import type { Acceptance, Entry, Store } from './store.ts';

export type Accept = (entries: readonly Omit<Entry, 'lease'>[]) => Promise<readonly Acceptance[]>;

/**
 * Stores messages; resolves once they are durable. Where a slot is free, a message for an idle conversation is leased in
 * the very commit that stores it and delivered from memory: the usual case costs no second look at the database.
 */
export function acceptWith(
  store: Pick<Store, 'accept'>,
  dispatcher: Pick<Dispatcher, 'offer' | 'take' | 'withdraw' | 'wake'>,
): Accept {
  return async (entries) => {
    const offered = entries.map((entry) => {
      const account = 'delivery' in entry.placement ? entry.placement.delivery.account : undefined;
      const lease = account === undefined ? undefined : dispatcher.offer(account);
      return { entry: { ...entry, lease }, withdraw: () => lease && account && dispatcher.withdraw(account), account };
    });
    let acceptances: readonly Acceptance[];
    try {
      acceptances = await store.accept(offered.map(({ entry }) => entry));
    } catch (error) {
      for (const { withdraw } of offered) withdraw();
      throw error;
    }
    for (const [index, { claim }] of acceptances.entries()) {
      if (claim) dispatcher.take(claim);
      else offered[index]?.withdraw();
    }
    for (const { entry, account } of offered) {
      // A slot may have got free between the offer and the commit, when there was nothing to claim yet.
      if (account !== undefined && entry.lease === undefined) dispatcher.wake(account);
    }
    return acceptances;
  };
}
