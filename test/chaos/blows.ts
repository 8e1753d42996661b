import { setTimeout as sleep } from 'node:timers/promises';
import type { Blow } from './schedule.ts';
import type { Replica, Stage } from './stage.ts';

/** Deals a blow to a process of the bridge, and returns when it is over; the bridge need not be up again then. */
export async function strike({ bridge, network }: Replica, { disk }: Pick<Stage, 'disk'>, blow: Blow): Promise<void> {
  switch (blow.kind) {
    case 'kill':
      return bridge.kill();
    case 'stop':
      return bridge.stop();
    case 'pause':
      return bridge.pause(blow.forMs);
    case 'jump':
      return bridge.jump(blow.byMs);
    case 'full disk': {
      const end = bridge.trouble(blow.kind);
      await disk?.fill();
      await sleep(blow.forMs / 2);
      // Then it is started again and again on a disk that is still full.
      if (blow.isKilled) await bridge.kill();
      await sleep(blow.forMs / 2);
      await disk?.free();
      return end();
    }
    case 'cut':
    case 'hang':
    case 'mute': {
      const end = bridge.trouble(blow.kind);
      if (blow.kind === 'cut') network?.cut();
      else if (blow.kind === 'hang') network?.hang();
      else network?.dropAnswers();
      await sleep(blow.forMs);
      network?.heal();
      return end();
    }
    case 'slow':
      network?.slow(blow.byMs);
      await sleep(blow.forMs);
      return network?.heal();
    case 'restart':
    case 'failover':
      throw new Error(`${blow.kind} is not for one process`);
    default:
      return blow satisfies never;
  }
}

/** Deals a blow to the database that all share. */
export async function strikeDatabase({ replicas, cluster }: Stage, blow: Blow): Promise<void> {
  const { kind } = blow;
  if (kind !== 'restart' && kind !== 'failover') throw new Error(`${kind} is not for a database`);
  const ends = replicas.map(({ bridge }) => bridge.trouble(kind));
  await (kind === 'restart' ? cluster?.restart(blow.mode) : cluster?.failOver());
  for (const end of ends) end();
}

export function describeBlow(blow: Blow): string {
  switch (blow.kind) {
    case 'pause':
      return `pause of ${seconds(blow.forMs)} s`;
    case 'jump':
      return `the clock jumps by ${(blow.byMs / 60_000).toFixed(1)} min`;
    case 'full disk':
      return `full disk for ${seconds(blow.forMs)} s${blow.isKilled ? ', and a kill' : ''}`;
    case 'cut':
      return `cut off from the database for ${seconds(blow.forMs)} s`;
    case 'hang':
      return `nothing to or from the database for ${seconds(blow.forMs)} s`;
    case 'mute':
      return `no answers of the database for ${seconds(blow.forMs)} s`;
    case 'slow':
      return `${blow.byMs} ms to the database and back, for ${seconds(blow.forMs)} s`;
    case 'restart':
      return `restart (${blow.mode})`;
    case 'failover':
      return 'killed; its standby takes its place';
    default:
      return blow.kind;
  }
}

const seconds = (ms: number) => (ms / 1_000).toFixed(1);
