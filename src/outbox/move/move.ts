import type { Clock } from '../../clock.ts';
import { messageOf } from '../../fault.ts';
import { StoreRefused, StoreUnavailable } from '../store.ts';
import { type Counts, Source } from './source.ts';
import { Target } from './target.ts';

export interface MoveOptions {
  /** A SQLite file. */
  readonly from: string;
  /** `postgres://…` */
  readonly to: string;
  readonly clock: Pick<Clock, 'now' | 'elapsed'>;
  /** What no other file is called. */
  readonly newName: () => string;
  readonly onProgress: (progress: { readonly moved: number; readonly total: number }) => void;
}

export interface Moved {
  /** All of the file, also what was moved by a move before that was broken off. */
  readonly counts: Counts;
  /** Accounts that an operator has paused. */
  readonly paused: readonly string[];
  /** Where they are: a URL without a password. */
  readonly address: string;
}

/**
 * Moves an outbox from a SQLite file to PostgreSQL: all messages in their order, what they are known by, what stops
 * conversations, which accounts are paused, and which routing tables were in force. Windows of repeats stay behind: they
 * last for a minute or so, in which the bridge is stopped. It is done batch by batch, each committed with how far that
 * brings it, so that a move that was broken off goes on there when it is begun again.
 *
 * At no time both could deliver: nothing is delivered from the target until all is there, and compared; and before it is,
 * the file is marked, so that no bridge starts on it any more.
 *
 * @throws {FileInUse | StoreUnavailable} when it may succeed later; {StoreRefused} when it cannot
 */
export async function moveOutbox(options: MoveOptions): Promise<Moved> {
  const source = new Source(options.from);
  try {
    const target = await Target.open({ url: options.to, clock: options.clock });
    try {
      return await move(source, target, options);
    } finally {
      await target.close();
    }
  } finally {
    source.close();
  }
}

async function move(source: Source, target: Target, { clock, newName, onProgress }: MoveOptions): Promise<Moved> {
  const { source: name, target: left, movedAt } = source.move(newName);
  if (left !== null && left !== target.address) {
    const where = movedAt === null ? `are being moved to ${left}; name that` : `were moved to ${left} already`;
    throw new StoreRefused(`the messages of ${source.file} ${where}.`);
  }
  const { lastSeq } = source;
  const counts = source.counts();
  const pauses = source.pauses();
  const begun = await target.begin(name, lastSeq);
  try {
    if (!begun.isDone) {
      await copy(source, target, { name, after: begun.lastSeq, onProgress });
      await compare(source, target, counts);
      // From here on neither delivers, until the target is told to.
      mark(() => source.leaveTo(target.address));
      await target.finish(name, lastSeq, { pauses, tables: source.tables() });
    }
    mark(() => source.moved(target.address, clock.now()));
  } catch (error) {
    if (!(error instanceof StoreUnavailable)) throw error;
    throw new StoreUnavailable(`${messageOf(error)} Run it again: it goes on where it was.`, { cause: error });
  }
  return { counts, paused: pauses.map(({ account }) => account), address: target.address };
}

async function copy(
  source: Source,
  target: Target,
  { name, after, onProgress }: { name: string; after: number } & Pick<MoveOptions, 'onProgress'>,
): Promise<void> {
  const total = source.countUntil(source.lastSeq);
  let moved = source.countUntil(after);
  let last = after;
  for (let batch = source.messages(last); batch.length > 0; batch = source.messages(last)) {
    onProgress({ moved, total });
    await target.add(name, last, batch);
    last = batch.at(-1)?.seq ?? last;
    moved += batch.length;
  }
  for (const some of source.conversations()) await target.note(name, last, some);
  onProgress({ moved, total });
}

/** @throws {StoreRefused} where the target does not hold what the file does */
async function compare(source: Source, target: Target, expected: Counts): Promise<void> {
  const found = await target.count();
  const wrong = Object.entries({ ...expected, miscounted: 0 }).flatMap(([name, count]) => {
    const there = Object.entries(found).find(([other]) => other === name)?.[1];
    return there === count ? [] : `${name}: ${there} instead of ${count}`;
  });
  if (wrong.length === 0) return;
  const fault = `${target.address} does not hold what ${source.file} does (${wrong.join(', ')})`;
  throw new StoreRefused(`${fault}. Nothing is delivered from there; move to another, and please report it.`);
}

/** @throws {StoreUnavailable} */
function mark(write: () => void): void {
  try {
    write();
  } catch (error) {
    const fault = 'All messages are moved, but the file is not marked as moved; start no bridge before it is.';
    throw new StoreUnavailable(`${messageOf(error)} ${fault}`, { cause: error });
  }
}
