/** Those who want to be told something. */
export class Listeners<T> {
  readonly #all = new Set<(value: T) => void>();

  /** The answer ends it. */
  add(listener: (value: T) => void): () => void {
    const own = (value: T) => listener(value);
    this.#all.add(own);
    return () => this.#all.delete(own);
  }

  tell(value: T): void {
    for (const listener of [...this.#all]) {
      try {
        listener(value);
      } catch (error) {
        // A listener's fault is neither that of who made the change nor that of the other listeners.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}

/** What something stands at; it is told when it is set. */
export class Told<T> {
  readonly #listeners = new Listeners<T>();
  #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  listen(listener: (value: T) => void): () => void {
    return this.#listeners.add(listener);
  }

  set(value: T): void {
    this.#value = value;
    this.#listeners.tell(value);
  }
}
