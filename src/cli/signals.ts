/** Supervisors signal a process and then its group: the same stop told twice, and heard in one turn of the event loop. */
const SAME_STOP_MS = 0.5;

/** Resolves at the first SIGTERM or SIGINT. One that comes after that ends the process at once. */
export function onStopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let firstAt: number | undefined;
    const onSignal = () => {
      const now = performance.now();
      if (firstAt !== undefined && now - firstAt > SAME_STOP_MS) process.exit(0);
      firstAt ??= now;
      resolve();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
