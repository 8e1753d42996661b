import express, { type Express, type RequestHandler } from 'express';
import helmet from 'helmet';
import { MethodNotAllowed, NotFound } from './errors.ts';
import type { Metrics } from './metrics.ts';
import { identify, refuse } from './middleware.ts';
import { type ReceiveOptions, receive } from './webhook/receive.ts';

export interface AppOptions extends ReceiveOptions {
  readonly metrics: ReceiveOptions['metrics'] & Pick<Metrics, 'refused'>;
  readonly trustProxy: string | number | false;
  readonly newRequestId: () => string;
  /** Whether a webhook could be stored right now. */
  readonly isReady: () => Promise<boolean>;
}

/** The public Express app, built from its parts. It never listens. */
export function createApp(options: AppOptions): Express {
  const app = express();
  app.set('trust proxy', options.trustProxy);
  app.set('query parser', false);
  app.set('etag', false);
  app.use(identify(options.newRequestId));
  app.use(helmet());
  app.all('/webhooks/:channel', receive(options));
  app.all(
    '/livez',
    status(async () => true),
  );
  app.all('/readyz', status(options.isReady));
  app.use((request) => {
    throw new NotFound(`There is nothing at ${request.path}; webhooks go to /webhooks/<channel>.`);
  });
  app.use(refuse(options.log, (status) => options.metrics.refused(status)));
  return app;
}

/** Says yes or no, and nothing else to strangers. */
function status(isUp: () => Promise<boolean>): RequestHandler {
  return async (request, response) => {
    if (request.method !== 'GET' && request.method !== 'HEAD')
      throw new MethodNotAllowed(request.method, ['GET', 'HEAD']);
    const up = await isUp();
    response.set('Cache-Control', 'no-store').status(up ? 200 : 503);
    if (!up) response.set('Retry-After', '5');
    response.json({ status: up ? 'ok' : 'unavailable' });
  };
}
