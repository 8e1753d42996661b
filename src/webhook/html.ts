import { compile } from 'html-to-text';

/** Nothing that people write is longer, or nests deeper; each tag costs. */
const MAX_LENGTH = 200_000;
const MAX_DEPTH = 100;
const HEADINGS = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'];

const convert = compile({
  wordwrap: false,
  limits: { maxDepth: MAX_DEPTH },
  selectors: [
    { selector: 'p', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    { selector: 'img', format: 'skip' },
    ...HEADINGS.map((selector) => ({ selector, options: { uppercase: false } })),
  ],
});

/** What a person sees of a piece of HTML, as text: lines where it breaks them, links beside their words. */
export function htmlToText(html: string): string {
  return convert(html.slice(0, MAX_LENGTH));
}
