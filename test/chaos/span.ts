/** From when to when, in real milliseconds since the epoch. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

const BEAT_MS = 25;

/**
 * Tells when this process got no time for `longerThanMs`: on a busy machine that alone can make a call run into its
 * time-out, and then it is nobody's fault.
 *
 * @returns ends it
 */
export function watchStalls(longerThanMs: number, tell: (stall: Span) => void): () => void {
  let last = Date.now();
  const beat = setInterval(() => {
    const now = Date.now();
    if (now - last > longerThanMs) tell({ from: last, to: now });
    last = now;
  }, BEAT_MS);
  beat.unref();
  return () => clearInterval(beat);
}
