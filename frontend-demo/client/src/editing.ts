/** What an app may do to a dataset's records. */

import { invalid } from './errors.ts';
import { jsonCopy, type Json } from './json.ts';
import { FIELDS, isNumberOrText, type Operation } from './operations.ts';
import type { NewEdit } from './outbox.ts';

/** `Done` is what each edit answers. What was given wrong is said before anything is done. */
export abstract class Editing<Done> {
  abstract get(key: string): Json | undefined;
  protected abstract edit(make: () => NewEdit): Done;

  put(key: string, value: Json): Done {
    return this.#edit('put', key, value);
  }

  remove(key: string): Done {
    return this.#edit('remove', key, null);
  }

  /** A JSON merge patch: https://www.rfc-editor.org/rfc/rfc7396 */
  merge(key: string, patch: Json): Done {
    return this.#edit('merge', key, patch);
  }

  increment(key: string, by = 1): Done {
    return this.#edit('increment', key, by);
  }

  max(key: string, value: number | string): Done {
    return this.#edit('max', key, value);
  }

  min(key: string, value: number | string): Done {
    return this.#edit('min', key, value);
  }

  addToSet(key: string, ...members: readonly Json[]): Done {
    return this.#edit('addToSet', key, members);
  }

  removeFromSet(key: string, ...members: readonly Json[]): Done {
    return this.#edit('removeFromSet', key, members);
  }

  #edit(operation: Operation, key: string, argument: Json): Done {
    return this.edit(() => {
      if (typeof key !== 'string' || !key) {
        throw invalid('key', 'is a text that is not empty');
      }
      jsonCopy(key, 'key');
      if (operation === 'increment' && typeof argument !== 'number') {
        throw invalid('by', 'is a number');
      }
      if (/m(ax|in)/.test(operation) && !isNumberOrText(argument)) {
        throw invalid('value', 'is a number or a text');
      }
      const copy = jsonCopy(argument, FIELDS[operation] ?? 'value');
      return { key, operation, argument: operation === 'remove' ? undefined : copy };
    });
  }
}
