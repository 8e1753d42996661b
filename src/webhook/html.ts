import { compile } from 'html-to-text';

/** Nothing that people write is longer, or nests deeper. */
const MAX_LENGTH = 500_000;
const MAX_DEPTH = 100;
const HEADINGS = ['h1', 'h2', 'h3', 'h4', 'h5', 'h6'];

/** What a person sees of a piece of HTML, as text: lines where it breaks them, links beside their words. */
export const htmlToText = compile({
  wordwrap: false,
  limits: { maxInputLength: MAX_LENGTH, maxDepth: MAX_DEPTH },
  selectors: [
    { selector: 'p', options: { leadingLineBreaks: 1, trailingLineBreaks: 1 } },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    { selector: 'img', format: 'skip' },
    ...HEADINGS.map((selector) => ({ selector, options: { uppercase: false } })),
  ],
});
