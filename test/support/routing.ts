import { loadRouting as load, parseRouting as parse } from '../../src/routing/load.ts';
import type { RoutingTable } from '../../src/routing/table.ts';
import type { Environment } from '../../src/settings.ts';
import { providers } from '../../src/webhook/providers/registry.ts';

/** As the bridge reads it, with all providers that there are. */
export function parseRouting(source: string, file: string, env: Environment): RoutingTable {
  return parse(source, file, env, providers);
}

export function loadRouting(file: string, env: Environment): Promise<RoutingTable> {
  return load(file, env, providers);
}
