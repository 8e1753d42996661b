import { type Command, InvalidArgumentError } from 'commander';
import type { Environment } from '../settings.ts';

/** The commands that ask a running bridge, through its admin API. */
export function operate(program: Command, env: Environment): void {
  const messages = program.command('messages').description('look at messages, on a running bridge');
  filters(messages.command('list').description('list messages, the newest first'))
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

  filters(program.command('redrive [id]').description('send dead or unknown messages again: one, or all that match'))
    .option('--preview', 'only show how many match, and some of them')
    .option('--rate <n>', 'conversations a second', count, 100)
    .option('--reroute', 'route them again, by the table in force')
    .option('--json', 'print JSON')
    .action(async (id, options) => (await import('./decide.ts')).redrive(id, options, env));
  filters(
    program.command('discard [id]').description('give dead or unknown messages up for good: one, or all that match'),
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
      .action(async (name) => (await import('./accounts.ts')).changeAccount(action, name, env));
  }

  program
    .command('backup <file>')
    .description('write a copy of the database while the bridge runs')
    .action(async (file) => (await import('./backup.ts')).backup(file, env));
}

function filters(command: Command): Command {
  return command
    .option('--state <state>', 'waiting, delivered, unknown, dead, discarded')
    .option('--channel <name>', 'of this channel')
    .option('--account <name>', 'of this account')
    .option('--auth-id <id>', 'of this user')
    .option('--sender <sender>', 'of this sender')
    .option('--provider-id <id>', "with this id of the provider's")
    .option('--because <reason>', 'dead for this reason, such as refused or expired')
    .option('--since <time>', 'accepted from then on, such as 2026-11-22T12:30:00Z')
    .option('--until <time>', 'accepted before');
}

function count(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('expected a whole number from 1 to 999999');
  return Number(text);
}
