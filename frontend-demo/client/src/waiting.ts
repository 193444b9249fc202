const FIRST_MS = 250;
const LONGEST_MS = 30_000;

/**
 * How many milliseconds to wait after so many failures: longer each time, and at random, so that not all clients come
 * back at once. https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export const jittered = (failures: number): number => Math.random() * Math.min(LONGEST_MS, FIRST_MS * 2 ** failures);

export const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** As `work` ends; rejects at once when `signal` fires. */
export const unlessAborted = <T>(signal: AbortSignal, work: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop);
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
