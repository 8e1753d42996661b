import { z } from 'zod';
import { routingFile } from '../routing/schema/schema.ts';
import { providers } from '../webhook/providers/registry.ts';

/** The routing file as JSON Schema, by which editors complete and check it. */
export function routingSchema(): string {
  const schema = z.toJSONSchema(routingFile(providers), { io: 'input', unrepresentable: 'any' });
  const described = { ...schema, description: 'The routing file of haptik-bridge.' };
  return `${JSON.stringify(described, (key, value: unknown) => (key === 'when' ? byName(value) : value), 2)}\n`;
}

const Conditions = z.looseObject({ propertyNames: z.unknown(), additionalProperties: z.looseObject({}) });

/** Editors complete keys that have a name, and mark others only where a pattern says which those are. */
function byName(when: unknown): unknown {
  const { propertyNames: _any, additionalProperties: condition, ...rest } = Conditions.parse(when);
  const defaultSnippets = ['prefix', 'matches'].map((key) => ({ label: `{ ${key} }`, body: { [key]: '$1' } }));
  const described = (description: string) => ({ description, defaultSnippets, ...condition });
  return {
    ...rest,
    properties: {
      recipient: described('What they wrote to: number, form, page.'),
      sender: described('Who wrote it: phone, e-mail, user id.'),
      text: described('What was written.'),
    },
    patternProperties: { '^fields\\..': described('What else the payload holds, such as fields.topic.') },
    additionalProperties: false,
  };
}
