import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { Environment } from '../settings.ts';
import { exitCodeOf, explain } from './exit.ts';
import { operate } from './operate.ts';

/** Parses the command line and runs one command; those that last do so until `stopped`. */
export async function run(
  argv: readonly string[],
  readEnvironment: () => Environment,
  stopped: Promise<void> = Promise.resolve(),
): Promise<void> {
  const env = readEnvironment();
  const program = new Command('haptik-bridge')
    .description('Accepts chat webhooks, routes them, and delivers them to Haptik.')
    .version(JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')).version)
    .showHelpAfterError();

  program
    .command('init')
    .description('write a routing file to begin with: four questions, or options that answer them')
    .option('--provider <provider>', 'which system sends; form where nobody says')
    .option('--channel <name>', 'what its channel is called: POST /webhooks/<name>')
    .option('--base-url <url>', `where Haptik is, or the variable that holds it, such as \${HAPTIK_BASE_URL}`)
    .option('--business-id <number>', 'which business it is for: the number that Haptik gave')
    .option('--file <file>', 'the routing file; ROUTING_FILE where left out. One that is there stays as it is')
    .action(async (options) =>
      (await import('./init.ts')).init(options, env, { input: process.stdin, output: process.stdout }),
    );

  program
    .command('serve')
    .description('run the bridge; settings come from the environment and .env')
    .action(async () => (await import('./serve.ts')).serve(readEnvironment, stopped));

  program
    .command('demo')
    .description('run the bridge and a simulated Haptik, with commands to try')
    .option('--port <port>', 'port of the bridge; 0 takes a free one', port, 0)
    .option('--simulator-port <port>', 'port of the simulator; 0 takes a free one', port, 0)
    .option('--admin-port <port>', "port of the bridge's operators; 0 takes a free one", port, 0)
    .action(async (options) => (await import('./demo.ts')).demo(options, stopped));

  program
    .command('simulate')
    .description('run a simulated Haptik, to test against')
    .option('--port <port>', 'port; 0 takes a free one', port, 8081)
    .option('--host <host>', 'address to listen on', '127.0.0.1')
    .option('--client-id <id>', 'the client-id it knows', 'demo-client')
    .option('--token <token>', 'the token it knows', 'demo-token')
    .action(async (options) => (await import('./simulate.ts')).simulate(options, stopped));

  program
    .command('check')
    .description('check a routing file and show what it says')
    .argument('[file]', 'the routing file; ROUTING_FILE where left out')
    .option('--json', 'print JSON: version, problems, warnings')
    .option('--strict', 'end with 78 where there are warnings too')
    .option('--live', "ask Haptik whether it accepts each account's credentials, by an empty message")
    .action(async (file, options) => (await import('./check.ts')).check(file, options, env));

  program
    .command('explain')
    .description('show what would become of a webhook: values, routes, and the call that Haptik would get')
    .argument('<channel>', 'the channel that it comes to')
    .argument('[payload]', 'a file with its body; standard input where left out', '-')
    .option('--file <file>', 'the routing file; ROUTING_FILE where left out')
    .option('-H, --header <header>', 'a header, such as "content-type: text/plain"; may be given again', gather, [])
    .option('--query <query>', 'the query of its URL, without ?')
    .option('--get', 'it comes by GET, and its values are in the query')
    .option('--json', 'print JSON')
    .action(async (channel, payload, options) =>
      (await import('./explain.ts')).explainPayload(channel, payload, options, env),
    );

  program
    .command('diff')
    .description('show what changes with a routing file, in words, against the version that was in force last')
    .argument('[file]', 'the routing file; ROUTING_FILE where left out')
    .option('--against <version or file>', 'compare it with this one instead')
    .option('--json', 'print JSON')
    .action(async (file, options) => (await import('./diff.ts')).diff(file, options, env));

  program
    .command('versions')
    .description('list the last good versions of the routing file')
    .option('--json', 'print JSON')
    .action(async (options) => (await import('./versions.ts')).listVersions(options, env));

  program
    .command('rollback')
    .description('put one of them back')
    .argument('<version>', 'which; its first characters are enough')
    .action(async (version) => (await import('./versions.ts')).rollback(version, env));

  program
    .command('schema')
    .description('print the JSON Schema of the routing file, for editors')
    .action(async () => {
      process.stdout.write((await import('./schema.ts')).routingSchema());
    });

  program
    .command('migrate')
    .description('move the outbox from a SQLite file, on which no bridge runs, to PostgreSQL')
    .requiredOption('--from <url>', 'the file, such as sqlite:data/bridge.db')
    .option('--to <url>', 'the database, postgres://…; DATABASE_URL where left out, so that no password is in sight')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nWhat was broken off goes on where it was when it is run again.')
    .action(async (options) => (await import('./migrate.ts')).migrate(options, env));

  operate(program, env);

  try {
    await program.parseAsync(argv);
  } catch (error) {
    console.error(explain(error));
    process.exitCode = exitCodeOf(error);
  }
}

function gather(one: string, others: readonly string[]): readonly string[] {
  return [...others, one];
}

function port(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
    throw new InvalidArgumentError('expected a port from 0 to 65535');
  return Number(text);
}
