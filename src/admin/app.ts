import express, { type Express } from 'express';
import helmet from 'helmet';
import { Conflict, NotFound } from '../errors.ts';
import { messageOf, propertyOf } from '../fault.ts';
import type { Metrics } from '../metrics.ts';
import { identify, refuse } from '../middleware.ts';
import { type AccountsOptions, accounts, surveyAccounts } from './accounts.ts';
import { guard, readJson } from './guard.ts';
import { type MessagesOptions, messages } from './messages.ts';
import { type RoutingOptions, routing } from './routing.ts';
import { backupBody, read } from './shapes.ts';

export interface AdminOptions extends MessagesOptions, Pick<AccountsOptions, 'lanes'>, RoutingOptions {
  /** Undefined where the listener is reached from this machine alone. */
  readonly token: string | undefined;
  readonly metrics: Pick<Metrics, 'render' | 'routingBehind'>;
  readonly newRequestId: () => string;
}

/** The operator's Express app, built from its parts. It never listens. */
export function createAdminApp(options: AdminOptions): Express {
  const { token, records, lanes, tablesInSight, metrics, clock, log, newRequestId } = options;
  const app = express();
  app.set('query parser', false);
  app.set('etag', false);
  app.use(identify(newRequestId));
  app.use(helmet());
  app.use(guard(token), readJson);
  app.use((_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  });
  app.use('/api', messages(options), accounts(options), routing(options));
  app.post('/api/backup', async (request, response) => {
    const { file } = read(backupBody, request.body);
    await records.backup(file).catch((error) => {
      throw propertyOf(error, 'name') === 'BackupRefused' ? new Conflict(messageOf(error), { cause: error }) : error;
    });
    log.info('backed up', { file, request_id: response.locals.requestId });
    response.status(201).json({ file });
  });
  app.get('/metrics', async (_request, response) => {
    const states = (await surveyAccounts(records, lanes)).map(({ survey, hold }) => ({ ...survey, hold: hold?.cause }));
    metrics.routingBehind((await tablesInSight()).isBehind);
    const { type, text } = await metrics.render(states, await records.strays(), clock.now());
    response.type(type).send(text);
  });
  app.use((request) => {
    throw new NotFound(`There is nothing at ${request.path}; see openapi.yaml.`);
  });
  app.use(refuse(log));
  return app;
}
