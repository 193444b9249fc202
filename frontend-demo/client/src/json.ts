import { invalid } from './errors.ts';

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [name: string]: Json };

/** Arrays and objects within each other, at most: as on the server. */
const MAX_DEPTH = 64;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What the server cannot hold, as `JSON.stringify` spells it: U+0000 and lone surrogates. */
const UNFIT = /(?<!\\)(?:\\\\)*\\u(0000|d[89a-f])/;

/** A frozen copy of a value from the app. Throws INVALID_INPUT naming `field` for what JSON, or the server, cannot hold. */
export function jsonCopy(value: unknown, field: string): Json {
  const text = JSON.stringify(value, (_, item: unknown) => {
    if (/function|bigint/.test(typeof item) || (typeof item === 'number' && !Number.isFinite(item))) {
      throw invalid(field, `${String(item)} is no JSON`);
    }
    return item;
  });
  if (text === undefined || UNFIT.test(text)) {
    throw invalid(field, `${text} is no JSON`);
  }
  return frozen(JSON.parse(text) as Json, field);
}

/** `value` itself, which nobody can change from now on. Throws INVALID_INPUT if it is nested too deeply. */
export function frozen<T>(value: T, field = 'value', depth = 0): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    if (depth === MAX_DEPTH) {
      throw invalid(field, `nested deeper than ${MAX_DEPTH} levels`);
    }
    Object.values(value).forEach((item) => frozen(item, field, depth + 1));
    Object.freeze(value);
  }
  return value;
}

/** Whether two values are the same JSON. `undefined` stands for no record. */
export function same(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) {
    return true;
  }
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, at) => same(item, b[at]));
  }
  if (!isObject(a) || !isObject(b)) {
    return false;
  }
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && same(a[name], b[name]));
}
