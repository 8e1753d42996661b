import { Router } from 'express';
import { NotFound } from '../errors.ts';
import type { Lanes } from '../outbox/lanes.ts';
import type { AccountSurvey, Records } from '../outbox/records.ts';
import { type AccountState, accountView, emptyBody, read } from './shapes.ts';

export interface AccountsOptions {
  readonly records: Pick<Records, 'survey'>;
  readonly lanes: Pick<Lanes, 'names' | 'holdOf' | 'pause' | 'resume'>;
  /** Messages may go on. */
  readonly wake: () => void;
}

/** Accounts: what waits in them, and whether they are on hold. */
export function accounts({ records, lanes, wake }: AccountsOptions): Router {
  const router = Router();

  router.get('/accounts', async (_request, response) => {
    response.json({ items: (await surveyAccounts(records, lanes)).map(accountView), next: null });
  });

  for (const action of ['pause', 'resume'] as const) {
    router.post(`/accounts/:name/${action}`, async (request, response) => {
      read(emptyBody, request.body);
      const name = String(request.params.name);
      const find = async () => (await surveyAccounts(records, lanes)).find(({ survey }) => survey.account === name);
      if ((await find()) === undefined) throw new NotFound(`There is no account "${name}".`);
      await lanes[action](name);
      wake();
      const account = await find();
      response.json(account && accountView(account));
    });
  }
  return router;
}

const EMPTY = { waiting: 0, oldestAt: undefined, stopped: 0, stoppedSince: undefined, dead: 0, unknown: 0 };

/** Those of the routing table, and those that it lacks while something of theirs is stored. */
export async function surveyAccounts(
  records: Pick<Records, 'survey'>,
  lanes: Pick<Lanes, 'names' | 'holdOf'>,
): Promise<readonly AccountState[]> {
  const surveys = new Map((await records.survey()).map((survey) => [survey.account, survey]));
  const known = new Set(lanes.names);
  return [...new Set([...known, ...surveys.keys()])].map((account) => {
    const survey: AccountSurvey = surveys.get(account) ?? { account, ...EMPTY };
    return { survey, isKnown: known.has(account), hold: lanes.holdOf(account) };
  });
}
