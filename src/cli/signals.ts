/**
 * Resolves at the first SIGTERM or SIGINT. One that comes after that ends the process at once; but not one that is heard
 * in the same turn of the event loop, since supervisors signal a process and then its group: the same stop told twice.
 */
export function onStopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = () => {
      if (isStopping) process.exit(0);
      setImmediate(() => {
        isStopping = true;
      });
      resolve();
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  });
}
