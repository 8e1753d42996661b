import { setTimeout as sleep } from 'node:timers/promises';
import type { Blow } from './schedule.ts';
import type { Stage } from './stage.ts';

/** Deals a blow, and returns when it is over; the bridge need not be up again then. */
export async function strike({ bridge, disk }: Pick<Stage, 'bridge' | 'disk'>, blow: Blow): Promise<void> {
  switch (blow.kind) {
    case 'kill':
      return bridge.kill();
    case 'stop':
      return bridge.stop();
    case 'pause':
      return bridge.pause(blow.forMs);
    case 'jump':
      return bridge.jump(blow.byMs);
    case 'full disk':
      bridge.holdWrites();
      await disk?.fill();
      await sleep(blow.forMs / 2);
      // Then it is started again and again on a disk that is still full.
      if (blow.isKilled) await bridge.kill();
      await sleep(blow.forMs / 2);
      await disk?.free();
      return bridge.releaseWrites();
    default:
      return blow satisfies never;
  }
}

export function describeBlow(blow: Blow): string {
  switch (blow.kind) {
    case 'pause':
      return `pause of ${seconds(blow.forMs)} s`;
    case 'jump':
      return `the clock jumps by ${(blow.byMs / 60_000).toFixed(1)} min`;
    case 'full disk':
      return `full disk for ${seconds(blow.forMs)} s${blow.isKilled ? ', and a kill' : ''}`;
    default:
      return blow.kind;
  }
}

const seconds = (ms: number) => (ms / 1_000).toFixed(1);
