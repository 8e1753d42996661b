import { loadRouting } from '../routing/load.ts';
import type { Verify } from '../routing/schema.ts';
import type { RoutingTable } from '../routing/table.ts';
import { DEFAULTS, type Environment } from '../settings.ts';
import { providers } from '../webhook/providers/registry.ts';

/** Prints what a routing file says. @throws {RoutingRefused} with its problems */
export async function check(file: string | undefined, env: Environment): Promise<void> {
  const path = file ?? env.ROUTING_FILE ?? DEFAULTS.ROUTING_FILE;
  console.log(summary(path, await loadRouting(path, env, providers)));
}

function summary(path: string, { accounts, file, version }: RoutingTable): string {
  const channels = Object.entries(file.channels).map(
    ([name, { provider, verify }]) => `  POST /webhooks/${name}   ${provider}, ${schemeOf(verify)}`,
  );
  const routes = file.routes.map((route, index) => {
    const when = route.when.map(({ subject }) => subject).join(', ') || 'any message';
    const account = route.account ?? [...accounts.keys()][0];
    return `  ${index}  ${route.channel} (${when}) → ${account}, business_id ${route.business_id}`;
  });
  const places = [...accounts.values()].map(({ name, messageUrl }) => `  ${name}   ${messageUrl.href}`);
  return [
    `${path} is fine (version ${version}).`,
    '',
    'Accounts',
    ...places,
    'Channels',
    ...channels,
    'Routes, the first that fits decides',
    ...routes,
    `Known senders: ${Object.keys(file.senders).length}`,
  ].join('\n');
}

function schemeOf(verify: Verify): string {
  if (verify === 'none') return 'not verified';
  const { mode, ...schemes } = verify;
  return `verified by ${Object.keys(schemes).join()}${mode === 'report' ? ', report only' : ''}`;
}
