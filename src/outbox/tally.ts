/** How many messages of each account wait. What is counted down to nothing is forgotten. */
export class Tally {
  readonly #counts = new Map<string, number>();

  get accounts(): readonly string[] {
    return [...this.#counts.keys()];
  }

  of(account: string): number {
    return this.#counts.get(account) ?? 0;
  }

  /** Counted anew. */
  set(counts: ReadonlyMap<string, number>): void {
    this.#counts.clear();
    for (const [account, count] of counts) this.add(account, count);
  }

  add(account: string, by: number): void {
    const count = this.of(account) + by;
    if (count === 0) this.#counts.delete(account);
    else this.#counts.set(account, count);
  }
}
