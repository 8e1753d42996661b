import { loadRouting as load, parseRouting as parse } from '../../src/routing/load.ts';
import { listedSenders, rulesOf } from '../../src/routing/senders/senders.ts';
import { createTable, type RoutingTable } from '../../src/routing/table.ts';
import type { Environment } from '../../src/settings.ts';
import { providers } from '../../src/webhook/providers/registry.ts';

/** As the bridge reads it, with all providers that there are; one without a senders file. */
export function parseRouting(source: string, path: string, env: Environment): RoutingTable {
  const { file } = parse(source, path, env, providers);
  const senders = listedSenders(file.senders, rulesOf(file, providers));
  return createTable(file, { version: 'parsed', source, senders }, providers);
}

export function loadRouting(file: string, env: Environment): Promise<RoutingTable> {
  return load(file, env, providers);
}
