import { z } from 'zod';
import { routingFile } from '../routing/schema.ts';
import { providers } from '../webhook/providers/registry.ts';

/** The routing file as JSON Schema, by which editors complete and check it. */
export function routingSchema(): string {
  const schema = z.toJSONSchema(routingFile(providers), { io: 'input', unrepresentable: 'any' });
  return `${JSON.stringify({ ...schema, title: 'haptik-bridge routing file' }, null, 2)}\n`;
}
