import { SynclineError } from './errors.ts';
import { isObject, same, type Json, type JsonObject } from './json.ts';

/** What an edit does, spelled as in the schema's `ChangeInput`. */
export type Operation = 'put' | 'remove' | 'merge' | 'increment' | 'max' | 'min' | 'addToSet' | 'removeFromSet';

/** How the argument of an operation is called, where it is not the value. */
export const FIELDS: Partial<Record<Operation, string>> = {
  merge: 'patch',
  increment: 'by',
  addToSet: 'members',
  removeFromSet: 'members',
};

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
      return (operation === 'max' ? order(argument) > order(value!) : order(argument) < order(value!)) ? argument : value;
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
 * What to sort by, so that texts are in the order of their code points, as everywhere: UTF-16 has the halves of what
 * comes last, U+D800 to U+DFFF, before U+E000 to U+FFFF.
 */
export const order = <T>(value: T): T =>
  typeof value === 'string'
    ? (value.replace(/[\ud800-\uffff]/g, (unit) =>
        String.fromCharCode(unit.charCodeAt(0) + (unit < '\ue000' ? 0x2000 : -0x800)),
      ) as T)
    : value;

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

/** A field of the object itself. */
export const own = (object: JsonObject, name: string): Json | undefined => (Object.hasOwn(object, name) ? object[name] : undefined);

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
