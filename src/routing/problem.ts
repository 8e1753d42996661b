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

/**
 * Faults whose words quote parts of the text, or what was made of it. Where a reference stands in that text, the parts may
 * be those of a secret: nobody would find it in them any more.
 */
const WITHOUT_QUOTES: Readonly<Record<string, string>> = {
  bad_auth_id:
    "with what its reference stands for it fits no account's auth_id_pattern; Haptik wants letters and digits",
  bad_path: 'with what its reference stands for it is not a path',
  bad_pattern: 'with what its reference stands for it is not a pattern (RE2)',
  bad_signed:
    'with what its reference stands for it does not hold {body}, or holds what is neither that nor {timestamp}',
  bad_template: 'with what its reference stands for it is not a template that can be used',
  impossible_auth_id: 'with what its reference stands for it never gives an auth_id that the account allows',
  shared_business_id: 'is used by another account too; Haptik gives each business to one',
};

/** What may be said of a text in which a reference is replaced. */
export function withoutQuotes(path: Path, code: string, message: string): string {
  const words = WITHOUT_QUOTES[code];
  return words === undefined ? message : `${nameOf(path)}: ${words}`;
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
