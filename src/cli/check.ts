import fetch from 'node-fetch';
import { type Probed, probe } from '../haptik/probe.ts';
import { checkRouting } from '../routing/load.ts';
import { formatProblem, type Problem, RoutingRefused } from '../routing/problem.ts';
import type { Verify } from '../routing/schema/schema.ts';
import type { RoutingTable } from '../routing/table.ts';
import { DEFAULTS, type Environment } from '../settings.ts';
import { providers } from '../webhook/providers/registry.ts';
import { json } from './print.ts';

interface Options {
  readonly json?: boolean;
  /** Warnings count as faults: the exit code says so. */
  readonly strict?: boolean;
  /** Ask Haptik about each account's credentials. */
  readonly live?: boolean;
}

/** Exit code of sysexits.h for what is configured wrong. */
const EXIT_CONFIG = 78;

/**
 * Prints what a routing file says, and what it probably does not mean.
 *
 * @throws {RoutingRefused} with its problems, unless they are printed as JSON
 */
export async function check(file: string | undefined, options: Options, env: Environment): Promise<void> {
  const path = file ?? env.ROUTING_FILE ?? DEFAULTS.ROUTING_FILE;
  const checked = await checkRouting(path, env, providers).catch((error: unknown) => {
    if (!options.json || !(error instanceof RoutingRefused)) throw error;
    return error;
  });
  if (checked instanceof RoutingRefused) {
    console.log(json({ version: null, problems: checked.problems, warnings: [] }));
    process.exitCode = EXIT_CONFIG;
    return;
  }
  const { table, warnings } = checked;
  const accounts = options.live ? await probeAll(table) : undefined;
  const { version } = table;
  console.log(options.json ? json({ version, problems: [], warnings, accounts }) : summary(path, table, warnings));
  if (accounts && !options.json) console.log(liveSummary(accounts));
  const isRefused = accounts?.some(({ credentials }) => credentials === 'refused') ?? false;
  if (isRefused || (options.strict && warnings.length > 0)) process.exitCode = EXIT_CONFIG;
}

interface ProbedAccount {
  readonly name: string;
  readonly credentials: Probed['is'];
  readonly why?: string;
}

function probeAll({ accounts }: RoutingTable): Promise<readonly ProbedAccount[]> {
  return Promise.all(
    [...accounts.values()].map(async (account) => {
      const { is: credentials, ...rest } = await probe(account, fetch);
      return { name: account.name, credentials, ...rest };
    }),
  );
}

const SAID: Readonly<Record<Probed['is'], string>> = {
  accepted: 'accepted',
  refused: 'refused: check client_id and token',
  unknown: 'cannot tell',
};

function liveSummary(accounts: readonly ProbedAccount[]): string {
  const lines = accounts.map(
    ({ name, credentials, why }) => `  ${name}   ${SAID[credentials]}${why === undefined ? '' : ` (${why})`}`,
  );
  const basis = "Credentials, by Haptik's answer to an empty message (observed, not promised by its documentation)";
  return ['', basis, ...lines].join('\n');
}

function summary(
  path: string,
  { accounts, file, senders, version }: RoutingTable,
  warnings: readonly Problem[],
): string {
  const channels = Object.entries(file.channels).map(
    ([name, { provider, verify }]) => `  POST /webhooks/${name}   ${provider}, ${schemeOf(verify)}`,
  );
  const routes = file.routes.map((route, index) => {
    const when = route.when.map(({ subject }) => subject).join(', ') || 'any message';
    const account = route.account ?? [...accounts.keys()][0];
    const id = route.auth_id === undefined ? 'senders alone' : `auth_id ${route.auth_id.source}`;
    return `  ${index}  ${route.channel} (${when}) → ${account}, business_id ${route.business_id}, ${id}`;
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
    `Known senders: ${senders.size.toLocaleString('en')}`,
    ...(warnings.length > 0 ? ['', 'Probably not meant', ...warnings.map(formatProblem)] : []),
  ].join('\n');
}

function schemeOf(verify: Verify): string {
  if (verify === 'none') return 'not verified';
  const { mode, verify_token: _token, certificate: _certificate, ...schemes } = verify;
  return `verified by ${Object.keys(schemes).join()}${mode === 'report' ? ', report only' : ''}`;
}
