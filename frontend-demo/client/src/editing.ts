/** What an app may do to a dataset's records. */

import { invalid } from './errors.ts';
import { jsonCopy, type Json } from './json.ts';
import type { NewEdit } from './outbox.ts';
import { isNumberOrText } from './operations.ts';

const keyOf = (key: string): string => {
  if (typeof key !== 'string' || key === '') {
    throw invalid('key', 'is a text that is not empty');
  }
  return jsonCopy(key, 'key') as string;
};

/** `Done` is what each edit answers. What was given wrong is said before anything is done. */
export abstract class Editing<Done> {
  abstract get(key: string): Json | undefined;
  protected abstract edit(make: () => NewEdit): Done;

  put(key: string, value: Json): Done {
    return this.edit(() => ({ key: keyOf(key), operation: 'put', argument: jsonCopy(value, 'value') }));
  }

  remove(key: string): Done {
    return this.edit(() => ({ key: keyOf(key), operation: 'remove' }));
  }

  /** A JSON merge patch: https://www.rfc-editor.org/rfc/rfc7396 */
  merge(key: string, patch: Json): Done {
    return this.edit(() => ({ key: keyOf(key), operation: 'merge', argument: jsonCopy(patch, 'patch') }));
  }

  increment(key: string, by = 1): Done {
    return this.edit(() => {
      if (typeof by !== 'number') {
        throw invalid('by', 'is a number');
      }
      return { key: keyOf(key), operation: 'increment', argument: jsonCopy(by, 'by') };
    });
  }

  max(key: string, value: number | string): Done {
    return this.#bound('max', key, value);
  }

  min(key: string, value: number | string): Done {
    return this.#bound('min', key, value);
  }

  #bound(operation: 'max' | 'min', key: string, value: number | string): Done {
    return this.edit(() => {
      if (!isNumberOrText(value)) {
        throw invalid('value', 'is a number or a text');
      }
      return { key: keyOf(key), operation, argument: jsonCopy(value, 'value') };
    });
  }

  addToSet(key: string, ...members: readonly Json[]): Done {
    return this.edit(() => ({ key: keyOf(key), operation: 'addToSet', argument: jsonCopy(members, 'members') }));
  }

  removeFromSet(key: string, ...members: readonly Json[]): Done {
    return this.edit(() => ({ key: keyOf(key), operation: 'removeFromSet', argument: jsonCopy(members, 'members') }));
  }
}
