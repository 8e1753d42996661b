import type { Json } from './message.ts';

/** Where a value stands in a payload: `from.phone`, `items[0].text`, `["1.3"]`. */
export interface FieldPath {
  readonly text: string;
  read(payload: Json | undefined): Json | undefined;
}

const STEP = /\[(\d{1,6})\]|\["([^"]+)"\]|(?:^|(?!^)\.)([^.[\]"]+)/y;

/**
 * Reads a path: names joined by `.`, `[0]` for an index, `["1.3"]` for a name taken as it stands.
 * A key that equals the whole path wins over the steps, since form fields may be called `your.name`.
 *
 * @throws {SyntaxError} when the text is not such a path
 */
export function parsePath(text: string): FieldPath {
  const steps = stepsOf(text);
  return {
    text,
    read(payload) {
      const whole = step(payload, text);
      if (whole !== undefined) return whole;
      let value: Json | undefined = payload;
      for (const name of steps) value = step(value, name);
      return value;
    },
  };
}

function stepsOf(text: string): readonly string[] {
  const steps: string[] = [];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < text.length || text === '') {
    const match = STEP.exec(text);
    const name = match?.[1] ?? match?.[2] ?? match?.[3];
    if (name === undefined) {
      throw new SyntaxError(`"${text}" is not a path; write names joined by ".", [0] for an index, ["a.b"] for a name`);
    }
    steps.push(name);
  }
  return steps;
}

function step(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  if (isList(value)) return value[Number(name)];
  return value[name];
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}
