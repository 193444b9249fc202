/** Two tabs would share what a device keeps in the browser, and each would write over what the other kept. */

const PATIENCE_MS = 500;

/** Call `start` once no other tab holds `name`; meanwhile, if that takes a moment, `notify(true)`. */
export function inOneTab(name: string, start: () => void, notify: (waiting: boolean) => void): void {
  if (!('locks' in navigator)) {
    // Not served over HTTPS, nor from this machine.
    start();
    return;
  }
  const patience = setTimeout(() => notify(true), PATIENCE_MS);
  void navigator.locks.request(name, () => {
    clearTimeout(patience);
    notify(false);
    start();
    return new Promise(() => {});
  });
}
