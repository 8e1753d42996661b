/** Whether the database takes what is written, as the last write found; asked about again while it did not. */
export class WriteHealth {
  readonly #tryWrite: () => Promise<unknown>;
  #isFailing = false;
  #probe: Promise<boolean> | undefined;

  /** @param tryWrite rejects while nothing is taken */
  constructor(tryWrite: () => Promise<unknown>) {
    this.#tryWrite = tryWrite;
  }

  /** Follows a write. */
  async watch<T>(write: Promise<T>): Promise<T> {
    try {
      const result = await write;
      this.#isFailing = false;
      return result;
    } catch (error) {
      this.#isFailing = true;
      throw error;
    }
  }

  /** Something failed that a write would fail by too, though its success would not show that one succeeds. */
  doubt(): void {
    this.#isFailing = true;
  }

  async isWritable(): Promise<boolean> {
    if (!this.#isFailing) return true;
    // Anybody may ask, and each look costs a database that is in trouble: those who ask at the same time share one.
    this.#probe ??= this.watch(this.#tryWrite())
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        this.#probe = undefined;
      });
    return this.#probe;
  }
}
