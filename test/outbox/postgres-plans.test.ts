import { expect, test } from '@jest/globals';
import { until } from '../support/fixtures.ts';
import { claimAll, KEEP, LEASE_MS } from './contract.ts';
import { openKit } from './postgres-kit.ts';
import { AGAIN, DELIVERED, delivery, entry } from './samples.ts';

test('nothing that is done all the time reads a table from end to end', async () => {
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
  await kit.query(
    `with rows as materialized (
      select i, case when i <= 10000 then gen_random_uuid() end as id from generate_series(1, 60000) as i
    ), messages as (
      insert into haptik_bridge.messages (id, conversation, state, channel, provider_id, account, business_id, auth_id,
        sender, message, delivery, table_version, accepted_at, since, settled_at)
      select 'old' || i, id, case when id is null then 'delivered' else 'waiting' end, 'chat', 'p' || i, 'main', 1, 'b' || i,
        's', '{}', $1, 'v1', 1, 1, case when id is null then i end
      from rows
    )
    insert into haptik_bridge.conversations (id, key, account, pending, ready_at)
    select id, id, 'main', 1, i from rows where id is not null`,
    [JSON.stringify(delivery('b'))],
  );
  await kit.query('vacuum analyze haptik_bridge.messages, haptik_bridge.conversations');
  await kit.query('select pg_stat_reset()');
  const store = await kit.start();

  await store.accept([entry('m1', 'a'), entry('m2', 'b'), entry('m3', 'b', { providerId: 'p60000' })]);
  const claims = await claimAll(store, 'main', 50);
  await store.renew(claims, LEASE_MS);
  await Promise.all(claims.map((claim, index) => store.settle(claim, index % 2 ? DELIVERED : AGAIN, KEEP)));
  kit.advance(LEASE_MS);
  await claimAll(store, 'main', 50);
  await store.look(['main', 'other']);
  await store.prune({ contentMs: 0, rowsMs: 0, limit: 100 });
  await store.recount(undefined, 100);
  expect(claims).toHaveLength(50);

  await store.close();
  await ended();
  const scans = await kit.query(
    'select relname, seq_scan::integer, idx_scan > 0 as is_used from pg_stat_user_tables where relname in ($1, $2) order by 1',
    ['messages', 'conversations'],
  );
  expect(scans).toEqual([
    // At the start all that waits is counted.
    { relname: 'conversations', seq_scan: 1, is_used: true },
    { relname: 'messages', seq_scan: 0, is_used: true },
  ]);
});
