/** One fault of the routing file, with its place: line and column count from 1. */
export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** From the file's root to a value, as a person would write it: `routes[0].when.text`. */
export type Path = readonly (string | number)[];

export function nameOf(path: Path): string {
  const dotted = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');
  return dotted.replace(/^\./, '') || 'routing file';
}

/** A blank of no width, pasted from a web page, would make a message of two words that look the same. */
export function visible(message: string): string {
  return message.replace(/[^\S ]|\p{C}/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

export function formatProblem({ file, line, column, message }: Problem): string {
  return `${file}:${line}:${column}: ${message}`;
}

/** The routing file is refused. Every problem is told at once. */
export class RoutingRefused extends Error {
  override readonly name = 'RoutingRefused';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}
