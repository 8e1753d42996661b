import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const ACCOUNTS = { main: { base_url: 'https://haptik.example', client_id: 'bench', token: 'bench-token' } };
export type Condition = (index: number) => object;

/** Routes that take turns among channels, and differ in what their condition wants. JSON, which YAML reads too. */
export function routingOf(channels: number, routes: number, condition: Condition): string {
  return JSON.stringify({
    accounts: ACCOUNTS,
    channels: Object.fromEntries(Array.from({ length: channels }, (_, index) => [`c${index}`, { verify: 'none' }])),
    routes: Array.from({ length: routes }, (_, index) => ({
      channel: `c${index % channels}`,
      when: condition(index),
      business_id: index,
      auth_id: 'sms{{ sender | digits }}',
    })),
    senders: { '+919820012345': 'CUST00042' },
  });
}

/** How the numbers of a senders file are written, and what else reads them: a channel with numbers, or four rules. */
export interface SendersKind {
  readonly isParted: boolean;
  readonly channels: Readonly<Record<string, object>>;
}

/** A routing file of that name with a senders file. @returns its path */
export async function writeSenders(
  folder: string,
  count: number,
  { isParted, channels }: SendersKind,
): Promise<string> {
  const row = (index: number) => {
    const number = senderAt(index);
    const written = isParted ? `${number.slice(0, 3)} ${number.slice(3, 8)} ${number.slice(8)}` : number;
    return `${written},CUST${index}\n`;
  };
  await writeFile(join(folder, 'senders.csv'), Array.from({ length: count }, (_, index) => row(index)).join(''));
  const file = join(folder, 'routing.yaml');
  const routes = Object.keys(channels).map((channel) => ({ channel, business_id: 1 }));
  await writeFile(file, JSON.stringify({ accounts: ACCOUNTS, channels, routes, senders_file: 'senders.csv' }));
  return file;
}

export function senderAt(index: number): string {
  return `+91${9_800_000_000 + index}`;
}
