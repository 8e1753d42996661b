import type { Cursor, Decision, MessageFilter, Records, Routing } from '../records.ts';
import { backUp } from './backup.ts';
import { type DecisionsOptions, SqliteDecisions } from './decisions.ts';
import { SqliteListing } from './listing.ts';

/** The operator's side of the SQLite file. */
export function sqliteRecords(options: DecisionsOptions): Records {
  const listing = new SqliteListing(options.database, options.waiting);
  const decisions = new SqliteDecisions(options);
  return {
    list: (filter: MessageFilter, page) => listing.list(filter, page),
    get: (id: string) => listing.get(id),
    recent: (page) => listing.recent(page),
    walk: (filter: MessageFilter, after: Cursor | undefined) => listing.walk(filter, after),
    survey: () => listing.survey(),
    strays: () => listing.strays(),
    decide: (id: string, decision: Decision) => decisions.decide(id, decision),
    redrive: (group: string, filter: MessageFilter, routing: Routing) => decisions.redrive(group, filter, routing),
    discard: (group: string, filter: MessageFilter, reason: string) => decisions.discard(group, filter, reason),
    backup: (file: string) => backUp(options.database, file),
  };
}
