import type { YAMLError } from 'yaml';
import { TOO_DEEP } from './aliases.ts';

/** What the parser calls by its own terms, as who edits the file would. */
const WORDS: readonly (readonly [pattern: RegExp, words: string])[] = [
  [/^Implicit map keys need/, 'a name stands here without ": " and a value after it'],
  [/^Sequence item without -/, 'an item of a list begins with "- ", in the column of those before it'],
  [/^All mapping items must/, 'a name begins further left or right than those beside it, and belongs to none of them'],
  [/^All sequence items must/, 'an item of a list begins further left or right than those before it'],
  [/^Nested mappings are not/, 'a second ": " stands in this line; a value that holds one needs quotes'],
  [/^A block sequence may not/, 'a list ("- ") begins here, where a name is expected; is it indented as it should be?'],
  [/^Tabs are not allowed/, 'the line is indented by a tab; YAML takes blanks only'],
  [/^Implicit keys need to be/, 'a name goes on over several lines: is a quote not closed, or a ": " missing?'],
  [/^Missing closing (["'])/, 'a quote is not closed'],
  [/^Flow (map|sequence) in block/, 'a { or [ is not closed, or what it holds is indented too little'],
  [/^Missing , or : between/, 'a comma or a ": " is missing before this'],
  [/^Missing , between/, 'a comma is missing before this'],
];

/** What is wrong with a file that is no YAML. Never what stands in it: that may be a secret. */
export function inWords({ code, message }: YAMLError): string {
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here; a routing file is one, without ---';
  if (code === 'TAG_RESOLVE_FAILED') return 'a tag (!name) is not known; text that begins with ! needs quotes';
  if (code === 'RESOURCE_EXHAUSTION') return TOO_DEEP;
  const known = WORDS.find(([pattern]) => pattern.test(message))?.[1];
  return `not valid YAML: ${known ?? message.replace(/: ".*|(?<=extra characters): .*/s, '')}`;
}
