import { PostgresStore } from '../../src/outbox/postgres/store.ts';
import { ManualClock, memoryLog, onTestEnd } from '../support/fixtures.ts';
import { testDatabase } from '../support/postgres.ts';
import { type Opened, storeContract } from './contract.ts';
import { recordsContract } from './records-contract.ts';
import { tablesContract } from './tables-contract.ts';

/** A store on a database of its own, that goes by the test's clock. */
async function open(): Promise<Opened> {
  const { url } = await testDatabase();
  const clock = new ManualClock();
  let tokens = 0;
  const start = async () => {
    const store = await PostgresStore.open({
      url,
      clock,
      now: () => `${clock.elapsed()}::bigint`,
      newToken: () => `token-${tokens++}`,
      log: memoryLog().log,
      maxBacklog: 1_000_000,
      eraseAtOnce: false,
    });
    onTestEnd(() => store.close());
    return store;
  };
  const store = await start();
  return {
    store,
    records: store.records,
    tables: store.tables,
    clock,
    reopen: async () => {
      const again = await start();
      return { store: again, records: again.records, tables: again.tables };
    },
  };
}

storeContract('postgres', open);
recordsContract('postgres', open);
tablesContract('postgres', open);
