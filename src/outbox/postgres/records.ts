import type { Clock } from '../../clock.ts';
import {
  BackupRefused,
  type Cursor,
  type Decision,
  type MessageFilter,
  type Records,
  type Routing,
} from '../records.ts';
import type { Database } from './database.ts';
import { PostgresDecisions } from './decisions.ts';
import { PostgresListing } from './listing.ts';

/** The operator's side of the tables in PostgreSQL. */
export function postgresRecords(database: Database, clock: Pick<Clock, 'elapsed'>): Records {
  const listing = new PostgresListing(database, clock);
  const decisions = new PostgresDecisions(database);
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
    backup: async () => {
      throw new BackupRefused('The database is PostgreSQL; use pg_dump, or the backups of whoever runs it.');
    },
  };
}
