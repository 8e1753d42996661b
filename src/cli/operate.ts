import { type Command, InvalidArgumentError } from 'commander';
import type { Environment } from '../settings.ts';

const STATES = 'waiting, delivered, unknown, dead, discarded';
const STATES_ASIDE = 'dead, unknown; dead where left out';

/** The commands that ask a running bridge, through its admin API. */
export function operate(program: Command, env: Environment): void {
  const messages = program.command('messages').description('look at messages, on a running bridge');
  filters(messages.command('list').description('list messages, the newest first'), STATES)
    .option('--limit <n>', 'how many', count, 50)
    .option('--after <cursor>', 'go on after a page before')
    .option('--json', 'print JSON')
    .action(async (options) => (await import('./messages.ts')).listMessages(options, env));
  messages
    .command('show <id>')
    .description('show a message, what is sent of it, and its attempts')
    .option('--json', 'print JSON')
    .action(async (id, options) => (await import('./messages.ts')).showMessage(id, options, env));
  messages
    .command('confirm <id>')
    .description('say that a dead or unknown message did arrive')
    .option('--json', 'print JSON')
    .action(async (id, options) => (await import('./messages.ts')).confirmMessage(id, options, env));

  filters(
    program.command('redrive [id]').description('send dead or unknown messages again: one, or all that match'),
    `${STATES_ASIDE}; waiting, with --account and --reroute, of an account that is gone`,
  )
    .option('--preview', 'only show how many match, and some of them')
    .option('--rate <n>', 'conversations a second, from 0.01 to 10000', rate, 100)
    .option('--reroute', 'route them again, by the table in force')
    .option('--json', 'print JSON')
    .action(async (id, options) => (await import('./decide.ts')).redrive(id, options, env));
  filters(
    program.command('discard [id]').description('give dead or unknown messages up for good: one, or all that match'),
    STATES_ASIDE,
  )
    .requiredOption('--reason <why>', 'why; it is kept with them')
    .option('--json', 'print JSON')
    .action(async (id, options) => (await import('./decide.ts')).discard(id, options, env));

  const accounts = program
    .command('accounts')
    .description('show accounts, what waits in them, and what holds them')
    .option('--json', 'print JSON')
    .action(async (options) => (await import('./accounts.ts')).listAccounts(options, env));
  for (const action of ['pause', 'resume'] as const) {
    accounts
      .command(`${action} <name>`)
      .description(action === 'pause' ? 'let its messages wait, until resumed' : 'let its messages go on')
      .option('--json', 'print JSON')
      // The option is taken by the command above, which has it too.
      .action(async (name, _options, command: Command) =>
        (await import('./accounts.ts')).changeAccount(action, name, command.optsWithGlobals(), env),
      );
  }

  program
    .command('reload')
    .description('have the bridge read its routing file again; what is wrong with it changes nothing')
    .option('--json', 'print JSON')
    .action(async (options) => (await import('./reload.ts')).reload(options, env));
  program
    .command('dry-run [file]')
    .description('route the last messages by a routing file, and show what would become of them; nothing is sent')
    .addHelpText('after', WHERE)
    .option('--last <n>', 'how many, at most 10000', count, 1_000)
    .option('--json', 'print JSON')
    .action(async (file, options) => (await import('./dry-run.ts')).dryRun(file, options, env));
  program
    .command('backup <file>')
    .description('write a copy of the database while the bridge runs')
    .action(async (file) => (await import('./backup.ts')).backup(file, env));
}

const WHERE = `
The bridge is asked on ADMIN_HOST:ADMIN_PORT, with ADMIN_TOKEN where it has one (from the environment, or .env).`;

function filters(command: Command, states: string): Command {
  return command
    .addHelpText('after', WHERE)
    .option('--state <state>', states)
    .option('--channel <name>', 'of this channel')
    .option('--account <name>', 'of this account')
    .option('--auth-id <id>', 'of this user')
    .option('--sender <sender>', 'of this sender')
    .option('--provider-id <id>', "with this id of the provider's")
    .option('--because <reason>', 'with this reason, such as refused or expired')
    .option('--since <time>', 'accepted from then on, such as 2026-11-22T12:30:00Z')
    .option('--until <time>', 'accepted before');
}

function rate(text: string): number {
  if (!/^\d{1,5}(\.\d{1,6})?$/.test(text)) throw new InvalidArgumentError('expected a number, such as 20 or 0.5');
  return Number(text);
}

function count(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 999999');
  return Number(text);
}
