import { SynclineError } from './errors.ts';
import { isObject, same, type Json, type JsonObject } from './json.ts';

/** What an edit does, spelled as in the schema's `ChangeInput`. */
export type Operation = 'put' | 'remove' | 'merge' | 'increment' | 'max' | 'min' | 'addToSet' | 'removeFromSet';

export const isNumberOrText = (value: unknown): value is number | string => typeof value === 'number' || typeof value === 'string';

/**
 * The value after an operation; `undefined` stands for no record. What the server makes of it, too.
 * Throws CHANGE_NOT_APPLICABLE if it does not fit the value.
 */
export function apply(operation: Operation, key: string, argument: Json | undefined, value: Json | undefined): Json | undefined {
  const unfit = (reason: string): SynclineError =>
    new SynclineError('CHANGE_NOT_APPLICABLE', `${operation} of ${key}: ${reason}`, false, { key, operation, reason });
  switch (operation) {
    case 'put':
      return argument;
    case 'remove':
      return undefined;
    case 'merge':
      return mergePatch(value, argument as Json);
    case 'increment': {
      const start = value === undefined ? 0 : value;
      if (typeof start !== 'number') {
        throw unfit('no number');
      }
      const sum = start + (argument as number);
      if (!Number.isFinite(sum)) {
        throw unfit('out of range');
      }
      return sum;
    }
    case 'max':
    case 'min': {
      if (value === undefined) {
        return argument;
      }
      if (!isNumberOrText(argument) || typeof value !== typeof argument) {
        throw unfit('not both numbers or texts');
      }
      return (operation === 'max' ? isBefore(value as string, argument as string) : isBefore(argument as string, value as string)) ? argument : value;
    }
    case 'addToSet':
    case 'removeFromSet': {
      const array = value === undefined ? [] : value;
      if (!Array.isArray(array)) {
        throw unfit('no array');
      }
      const members = argument as readonly Json[];
      const result =
        operation === 'addToSet'
          ? members.reduce<readonly Json[]>((set, member) => (holds(set, member) ? set : [...set, member]), array)
          : array.filter((item: Json) => !holds(members, item));
      return result.length === array.length && (value !== undefined || operation === 'removeFromSet') ? value : result;
    }
  }
}

const holds = (array: readonly Json[], member: Json): boolean => array.some((item) => same(item, member));

/**
 * Whether a number or text comes before another; texts in the order of their code points, as everywhere. In UTF-16,
 * what is behind U+D800 is wrongly ordered: pairs of surrogates stand for what comes after all else.
 */
export function isBefore<T extends number | string>(a: T, b: T): boolean {
  if (typeof a !== 'string' || typeof b !== 'string') {
    return a < b;
  }
  let at = 0;
  while (at < a.length && a[at] === b[at]) {
    at++;
  }
  const order = (text: string) => (text.charCodeAt(at) - 0xe000) & 0xffff;
  return at < a.length && at < b.length && a.charCodeAt(at) >= 0xd800 && b.charCodeAt(at) >= 0xd800 ? order(a) < order(b) : a < b;
}

/** https://www.rfc-editor.org/rfc/rfc7396#section-2 */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) {
    return patch;
  }
  const result = new Map<string, Json>(isObject(target) ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) {
      result.delete(name);
    } else {
      result.set(name, mergePatch(result.get(name), value));
    }
  }
  return Object.fromEntries(result);
}

const own = (object: JsonObject, name: string): Json | undefined => (Object.hasOwn(object, name) ? object[name] : undefined);

/** `theirs` with what `mine` changed since `base`, field by field. Of a field that both changed, `mine` stays. */
export function threeWayMerge(base: JsonObject, theirs: JsonObject, mine: JsonObject): JsonObject {
  const result = new Map(Object.entries(theirs));
  for (const name of new Set([...Object.keys(mine), ...Object.keys(base)])) {
    const [before, wanted, there] = [own(base, name), own(mine, name), own(theirs, name)];
    if (same(before, wanted)) {
      continue;
    }
    if (wanted === undefined) {
      result.delete(name);
    } else if (isObject(wanted) && isObject(there)) {
      result.set(name, threeWayMerge(isObject(before) ? before : {}, there, wanted));
    } else {
      result.set(name, wanted);
    }
  }
  return Object.fromEntries(result);
}
