import type { CsvError } from 'csv-parse';

/** Something about one row; line and column count from 1. */
export interface RowProblem {
  readonly code: string;
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

/** The first ones, and how many there are. */
export interface RowProblems {
  readonly first: readonly RowProblem[];
  readonly count: number;
}

/** More are not read one by one. */
const MAX_TOLD = 20;
/** In characters: far more than any sender or auth_id has. */
const MAX_CELL = 1_000;
export const MAX_ROW = 10_000;
const CSV_FAULTS: Partial<Record<CsvError['code'], string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quote (") is not closed',
  CSV_INVALID_CLOSING_QUOTE: 'after a closing quote (") a comma is expected; a quote in a value is written twice',
  CSV_NON_TRIMABLE_CHAR_AFTER_CLOSING_QUOTE: 'after a closing quote (") a comma is expected',
  INVALID_OPENING_QUOTE: 'a quote (") stands within a value; put the whole value in quotes, and write the quote twice',
  CSV_MAX_RECORD_SIZE: `a row is longer than ${MAX_ROW} characters; is a quote (") not closed?`,
};

/** Counts them all, and keeps the first. */
export class Problems implements RowProblems {
  readonly first: RowProblem[] = [];
  count = 0;

  add(problem: RowProblem): void {
    this.count += 1;
    if (this.first.length < MAX_TOLD) this.first.push(problem);
  }

  get plain(): RowProblems {
    return { first: this.first, count: this.count };
  }
}

/** In plain words, what is no CSV. */
export function csvFaultOf({ code }: CsvError): string {
  return `not valid CSV: ${CSV_FAULTS[code] ?? code}`;
}

/** What is wrong with a row by itself. */
export function faultOf(cells: readonly string[]): Omit<RowProblem, 'line' | 'column'> | undefined {
  if (cells.length !== 2) {
    const parted = /[;\t]/.exec(cells[0] ?? '')?.[0] === ';' ? 'a semicolon' : 'a tab';
    const isParted = cells.length === 1 && /[;\t]/.test(cells[0] ?? '');
    const found = isParted ? `${parted} between them; save it as CSV with commas` : `${cells.length}`;
    return { code: 'csv', message: `expected two values with a comma between them, sender,auth_id, not ${found}` };
  }
  if (cells.includes('')) return { code: 'missing', message: 'expected a sender and an auth_id; one of them is blank' };
  if (cells.some((cell) => cell.includes('\uFFFD'))) {
    return { code: 'csv', message: 'is not UTF-8; save the file as "CSV UTF-8"' };
  }
  if (/^\d[.,]\d+E\+\d+$/i.test(cells[0] ?? '')) {
    return { code: 'csv', message: 'the sender is a number that a spreadsheet has cut short; make its column text' };
  }
  if (cells.some((cell) => cell.length > MAX_CELL)) {
    return { code: 'csv', message: `a value is longer than ${MAX_CELL} characters` };
  }
  return undefined;
}
