import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { CsvError, parse } from 'csv-parse';
import { propertyOf, reasonOf } from '../../fault.ts';
import { normaliseSender, type SenderRule } from '../../sender.ts';
import { fullMatch } from '../condition.ts';
import { type Packed, PackedMapBuilder } from './packed-map.ts';
import { csvFaultOf, faultOf, MAX_ROW, Problems, type RowProblems } from './rows.ts';
import type { ChannelRule } from './senders.ts';

/** What the thread is asked. */
export interface Task {
  readonly file: string;
  /** How the channels read senders, each with the name of a channel that does. */
  readonly rules: readonly ChannelRule[];
  /** Each auth_id must fit one of them. */
  readonly patterns: readonly string[];
  /** Tell also what is allowed, and probably not meant. */
  readonly warns: boolean;
}

/** What it answers: why the file cannot be read, or what stands in it. */
export type Answer =
  | { readonly unreadable: string }
  | {
      /** Of the file's bytes. */
      readonly hash: string;
      readonly everywhere: Packed;
      /** For each rule, the senders that it makes others of than is made of them elsewhere. */
      readonly byRule: readonly Packed[];
      readonly faults: RowProblems;
      readonly warnings: RowProblems;
    };

/** Of entries: the shortest row (`a,b`) becomes half as long again. */
const MOST_BYTES_A_BYTE = 1.5;

interface Row {
  readonly cells: readonly string[];
  readonly line: number;
  /** As it is written. */
  readonly raw: string;
}

async function read({ file, rules, patterns, warns }: Task): Promise<Answer> {
  const faults = new Problems();
  const warnings = new Problems();
  const hash = createHash('sha256');
  const allowed = patterns.map(fullMatch);
  const room = await roomFor(file);
  const everywhere = new PackedMapBuilder(room);
  const byRule = rules.map(() => new PackedMapBuilder(room));
  const byAuthId = new PackedMapBuilder(room);

  const take = ({ cells: [sender = '', authId = ''], line, raw }: Row) => {
    const column = raw.lastIndexOf(',') + 2;
    if (!allowed.some((fits) => fits(authId))) {
      const hint = line === 1 ? '; a first line that names the columns reads sender,auth_id' : '';
      const message = `the auth_id fits no account's auth_id_pattern; Haptik wants letters and digits${hint}`;
      faults.add({ code: 'bad_auth_id', message, line, column });
      return;
    }
    const twice = (where: string) => {
      const message = `the sender stands before${where}, with another auth_id; a sender has one`;
      faults.add({ code: 'duplicate', message, line, column: 1 });
    };
    const usual = normaliseSender(sender);
    const known = everywhere.add(usual, authId);
    if (known !== undefined && known !== authId) twice('');
    if (known !== undefined) return;
    for (const [index, rule] of rules.entries()) {
      const own = readsAlike(sender, rule) ? usual : normaliseSender(sender, rule.country, rule.kind);
      const other = own === usual ? undefined : byRule[index]?.add(own, authId);
      if (other !== undefined && other !== authId) twice(`, as channel ${rule.channel} reads it`);
    }
    if (warns && byAuthId.add(authId, usual) !== undefined) {
      const message = 'the auth_id stands before, with another sender: to Haptik they are one person';
      warnings.add({ code: 'same_auth_id', message, line, column });
    }
  };
  let lastLine = 0;
  const rows = parse({
    bom: true,
    trim: true,
    skip_empty_lines: true,
    relax_column_count: true,
    max_record_size: MAX_ROW,
    raw: true,
    on_record: (row: unknown, { lines: line, records }) => {
      const { record: cells, raw } = row as Recorded;
      lastLine = line;
      if (records === 1 && /^sender,auth_id$/i.test(cells.join())) return null;
      const fault = faultOf(cells);
      if (fault === undefined) take({ cells, line, raw });
      else faults.add({ ...fault, line, column: 1 });
      return null;
    },
  });
  rows.resume();
  try {
    // A pipe would be waited for, by a thread that others need, until somebody writes to it.
    if (!(await stat(file)).isFile()) return { unreadable: 'it is no file' };
    await pipeline(
      createReadStream(file),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          yield chunk;
        }
      },
      rows,
    );
  } catch (error) {
    if (propertyOf(error, 'syscall') !== undefined) return { unreadable: reasonOf(error) };
    if (!(error instanceof CsvError)) throw error;
    const message = csvFaultOf(error);
    // Where a quote is not closed the parser knows where it gave up, not where the row began.
    const line =
      error.code.startsWith('INVALID') || error.code.includes('_CLOSING_') ? Number(error.lines) : lastLine + 1;
    faults.add({ code: 'csv', message, line, column: 1 });
  }
  const packed = everywhere.build();
  if (packed.size === 0 && faults.count === 0) {
    const message =
      'no sender stands in it, which is mostly the work of a broken export; leave senders_file out if none is meant';
    faults.add({ code: 'missing', message, line: 1, column: 1 });
  }
  return {
    hash: hash.digest('hex'),
    everywhere: packed,
    byRule: byRule.map((builder) => builder.build()),
    faults: faults.plain,
    warnings: warnings.plain,
  };
}

/** For what may be made of a file: a row has two bytes for a comma and a line break, an entry four for its lengths. */
async function roomFor(file: string): Promise<number> {
  const size = await stat(file).then(
    (stats) => stats.size,
    // Why it cannot be read is said by reading it.
    () => 0,
  );
  return Math.ceil(size * MOST_BYTES_A_BYTE) + MAX_ROW;
}

/** What the parser gives for a row, with `raw`. */
interface Recorded {
  readonly record: readonly string[];
  /** As it is written. */
  readonly raw: string;
}

/** A number with its `+` is read alike by all who read numbers. Most senders are such, and reading them takes its time. */
function readsAlike(sender: string, { kind }: SenderRule): boolean {
  return sender.startsWith('+') && !sender.includes('@') && kind !== 'id';
}

const answer = await read(workerData as Task);
const buffers = 'unreadable' in answer ? [] : [answer.everywhere, ...answer.byRule];
parentPort?.postMessage(
  answer,
  buffers.flatMap(({ bytes, slots }) => [bytes.buffer, slots.buffer]),
);
