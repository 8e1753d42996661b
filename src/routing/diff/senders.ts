import type { SenderList } from '../senders/senders.ts';
import type { Change } from './change.ts';
import { arrow, excerpt, word } from './words.ts';

/** Of more than these a kind only the number is told. */
const MOST_TOLD = 20;

/**
 * Who was added, removed, and moved to another auth_id. Each list is read once from end to end, and of what is found only
 * the first few are kept.
 *
 * @param show how an auth_id is shown
 */
export function senderChanges(
  before: SenderList,
  after: SenderList,
  show: (authId: string) => string = word,
): readonly Change[] {
  const removed = new Told('removed');
  const moved = new Told('moved');
  const added = new Told('added');
  for (const [sender, authId] of before.entries()) {
    const now = after.get(sender);
    if (now === undefined) removed.tell(sender, () => `removed, was ${excerpt(show(authId))}`);
    else if (now !== authId) moved.tell(sender, () => arrow(show(authId), show(now)));
  }
  for (const [sender, authId] of after.entries()) {
    if (before.get(sender) === undefined) added.tell(sender, () => `added, ${excerpt(show(authId))}`);
  }
  return [removed, moved, added].flatMap(({ changes }) => changes);
}

class Told {
  readonly #change: Change['change'];
  readonly #first: Change[] = [];
  #more = 0;

  constructor(change: Change['change']) {
    this.#change = change;
  }

  tell(sender: string, words: () => string): void {
    if (this.#first.length === MOST_TOLD) {
      this.#more += 1;
      return;
    }
    const name = excerpt(word(sender));
    this.#first.push({ part: 'sender', change: this.#change, name: sender, message: `sender ${name}: ${words()}` });
  }

  get changes(): readonly Change[] {
    if (this.#more === 0) return this.#first;
    const message = `senders: and ${this.#more.toLocaleString('en')} more ${this.#change}`;
    return [...this.#first, { part: 'sender', change: this.#change, name: 'senders', message }];
  }
}
