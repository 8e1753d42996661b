/** Supervisors signal a process, then its group, and wrappers pass on what they get: the same stop told more than once. */
const SAME_STOP_MS = 50;

/** Resolves at the first SIGTERM or SIGINT. One that comes later, and is not the same stop told again, ends the process. */
export function onStopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = () => {
      if (isStopping) process.exit(0);
      setTimeout(() => {
        isStopping = true;
      }, SAME_STOP_MS).unref();
      resolve();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
