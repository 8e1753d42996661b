import { expect, test } from '@jest/globals';
import { until } from '../support/fixtures.ts';
import { claimAll, KEEP, LEASE_MS } from './contract.ts';
import { type Kit, openKit } from './postgres-kit.ts';
import { AGAIN, DELIVERED, delivery, entry } from './samples.ts';

const TABLES = 'haptik_bridge.messages, haptik_bridge.conversations';

/** 60,000 messages, of which 10,000 wait, each in a conversation of its own. */
async function fill(kit: Kit): Promise<void> {
  await kit.query(
    `with rows as materialized (
      select i, case when i <= 10000 then gen_random_uuid() end as id from generate_series(1, 60000) as i
    ), messages as (
      insert into haptik_bridge.messages (id, conversation, state, channel, provider_id, repeat_key, account, business_id,
        auth_id, sender, message, delivery, table_version, accepted_at, since, settled_at)
      select 'old' || i, id, case when id is null then 'delivered' else 'waiting' end, 'chat', 'p' || i,
        gen_random_uuid(), 'main', 1, 'b' || i, 's', '{}', $1, 'v1', 1, 1, case when id is null then i end
      from rows
    )
    insert into haptik_bridge.conversations (id, key, account, pending, ready_at)
    select id, id, 'main', 1, i from rows where id is not null`,
    [JSON.stringify(delivery('b'))],
  );
}

/** What the planner believes of the tables. */
const BELIEFS: readonly (readonly [string, (kit: Kit) => Promise<void>])[] = [
  [
    'what is so',
    async (kit) => {
      await fill(kit);
      await kit.query(`vacuum analyze ${TABLES}`);
    },
  ],
  // After a quiet night, until they are looked at again.
  [
    'that hardly anybody waits',
    async (kit) => {
      await fill(kit);
      await kit.query(
        'delete from haptik_bridge.conversations where ctid <> (select max(ctid) from haptik_bridge.conversations)',
      );
      await kit.query(`vacuum analyze ${TABLES}`);
      await kit.query(`delete from haptik_bridge.messages`);
      await kit.query(`delete from haptik_bridge.conversations`);
      await fill(kit);
    },
  ],
  // As it was in the middle of one long conversation.
  [
    'that all is of one conversation',
    async (kit) => {
      await fill(kit);
      await kit.query(
        "update haptik_bridge.messages set conversation = '00000000-0000-0000-0000-000000000000', state = 'waiting'",
      );
      await kit.query(`vacuum analyze ${TABLES}`);
      await kit.query('delete from haptik_bridge.messages');
      await kit.query('delete from haptik_bridge.conversations');
      await fill(kit);
    },
  ],
];

test.each(BELIEFS)(
  'nothing that is done all the time reads more than it needs, when the planner believes %s',
  async (_belief, make) => {
    const kit = await openKit();
    /** What a session has read is counted at the latest when it ends. */
    const ended = () =>
      until('the sessions of stores have ended', async () => {
        const rows = await kit.query(
          "select 1 from pg_stat_activity where datname = current_database() and application_name = 'haptik-bridge'",
        );
        return rows.length === 0;
      });
    await (await kit.start()).close();
    await ended();
    await make(kit);
    // What this session has read is counted now, and not after the reset.
    await kit.query('select pg_stat_force_next_flush()');
    await kit.query('select pg_stat_reset()');
    const store = await kit.start();

    await store.accept([entry('m1', 'a'), entry('m2', 'b'), entry('m3', 'b', { providerId: 'p' })]);
    await store.accept([entry('m4', 'b', { providerId: 'p' })]);
    await store.accept(['m5', 'm6'].map((id) => entry(id, 'b', { repeat: { key: 'f', withinMs: 60_000 } })));
    const claims = await claimAll(store, 'main', 50);
    await store.renew(claims, LEASE_MS);
    await Promise.all(claims.map((claim, index) => store.settle(claim, index % 2 ? DELIVERED : AGAIN, KEEP)));
    kit.advance(LEASE_MS);
    await claimAll(store, 'main', 50);
    await store.look(['main', 'other']);
    expect(claims).toHaveLength(50);

    await store.close();
    await ended();
    const scans = await kit.query(
      'select relname, seq_scan::integer from pg_stat_user_tables where relname in ($1, $2, $3) order by 1',
      ['messages', 'conversations', 'repeats'],
    );
    expect(scans).toEqual([
      // At the start all that waits is counted.
      { relname: 'conversations', seq_scan: 1 },
      { relname: 'messages', seq_scan: 0 },
      { relname: 'repeats', seq_scan: 0 },
    ]);
    const read = await kit.query<{ index: string; entries: number }>(
      `select indexrelname as index, idx_tup_read::integer as entries from pg_stat_user_indexes
    where relname in ('messages', 'conversations') and idx_tup_read > 1000`,
    );
    expect(read).toEqual([]);
  },
);
