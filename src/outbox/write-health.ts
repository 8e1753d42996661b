/** Whether the disk takes what is written, as the last write found; asked about again while it did not. */
export class WriteHealth {
  readonly #tryWrite: () => Promise<unknown>;
  #isFailing = false;
  #probe: Promise<boolean> | undefined;

  /** @param tryWrite rejects while the disk takes nothing */
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

  async isWritable(): Promise<boolean> {
    if (!this.#isFailing) return true;
    // Anybody may ask, and each look costs a disk that is in trouble: those who ask at the same time share one.
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
