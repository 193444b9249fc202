/** Those who want to be told something. */
export interface Listeners<T> {
  /** What it answers ends it. */
  add(listener: (value: T) => void): () => void;
  tell(value: T): void;
}

export function listeners<T>(): Listeners<T> {
  const all = new Set<(value: T) => void>();
  return {
    add(listener) {
      const own = (value: T) => listener(value);
      all.add(own);
      return () => all.delete(own);
    },
    tell(value) {
      for (const listener of [...all]) {
        try {
          listener(value);
        } catch (error) {
          // A listener's fault is neither that of who made the change nor that of the other listeners.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    },
  };
}

/** What something stands at; it is told when it is set. */
export interface Told<T> {
  readonly value: T;
  listen(listener: (value: T) => void): () => void;
  set(value: T): void;
}

export function told<T>(value: T): Told<T> {
  const { add, tell } = listeners<T>();
  return {
    get value() {
      return value;
    },
    listen: add,
    set: (next) => tell((value = next)),
  };
}
