import type { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from '@jest/globals';
import { openFile } from '../src/outbox/sqlite/file.ts';
import { CHAT, startTestBridge } from './support/bridge.ts';
import { until } from './support/fixtures.ts';

/** A bridge on a disk that can be filled and freed. */
async function startOnDisk() {
  let opened: DatabaseSync | undefined;
  const open: typeof openFile = (file) => {
    opened = openFile(file);
    return opened;
  };
  const running = await startTestBridge({ routing: CHAT, overrides: { openFile: open, random: () => 0.01 } });
  if (opened === undefined) throw new Error('no database was opened');
  const database = opened;
  const pages = (most: number) => database.exec(`pragma max_page_count = ${most}`);
  return {
    ...running,
    fillDisk: () => pages(Number(database.prepare('pragma page_count').get()?.page_count)),
    freeDisk: () => pages(1_000_000),
  };
}

describe('a disk that is full', () => {
  const post = ({ request }: Awaited<ReturnType<typeof startOnDisk>>, id: string) =>
    request.post('/webhooks/chat').send({ sender: `u${id}`, id, text: 'x'.repeat(5_000) });

  test('is answered 503 with Retry-After, and /readyz is off; once there is room all goes on by itself', async () => {
    const running = await startOnDisk();
    const { request, simulator, fillDisk, freeDisk } = running;
    fillDisk();
    const acknowledged: string[] = [];
    const ids = Array.from({ length: 50 }, (_, index) => `m${index}`);
    let refused: Awaited<ReturnType<typeof post>> | undefined;
    for (const id of ids) {
      const answer = await post(running, id);
      if (answer.status === 202) acknowledged.push(id);
      else refused = answer;
    }
    expect(refused?.status).toBe(503);
    expect(refused?.type).toBe('application/problem+json');
    expect(Number(refused?.headers['retry-after'])).toBeGreaterThan(0);
    await request.get('/readyz').expect(503);
    await request.get('/livez').expect(200);

    freeDisk();
    await until('it is ready again', async () => (await request.get('/readyz')).status === 200);
    // As a sender does: again, until it is taken.
    for (const id of ids) expect((await post(running, id)).status).toBe(acknowledged.includes(id) ? 200 : 202);
    await until('all are delivered', () => simulator.messages.length >= ids.length);
    expect(new Set(simulator.messages.map(({ auth_id }) => auth_id)).size).toBe(ids.length);
  });
});
