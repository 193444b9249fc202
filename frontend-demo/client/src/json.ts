import { invalid } from './errors.ts';

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [name: string]: Json };

/** Arrays and objects within each other, at most: as on the server. */
const MAX_DEPTH = 64;

const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A frozen copy of a value from the app. Throws INVALID_INPUT naming `field` for what JSON, or the server, cannot hold. */
export function jsonCopy(value: unknown, field: string, depth = 0): Json {
  if (value === null || typeof value === 'boolean') {
    return value;
  }
  if (typeof value === 'string') {
    return text(value, field);
  }
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) {
      throw invalid(field, `${value} is no JSON number`);
    }
    return Object.is(value, -0) ? 0 : value;
  }
  if (typeof value !== 'object' || depth === MAX_DEPTH) {
    throw invalid(field, depth === MAX_DEPTH ? `nested deeper than ${MAX_DEPTH} levels` : `${typeof value} is no JSON value`);
  }
  if (Array.isArray(value)) {
    return Object.freeze(Array.from(value, (item) => jsonCopy(item, field, depth + 1)));
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw invalid(field, `${value.constructor?.name ?? 'this object'} is no JSON value`);
  }
  return Object.freeze(
    Object.fromEntries(
      Object.entries(value)
        .filter(([, item]) => item !== undefined)
        .map(([name, item]) => [text(name, field), jsonCopy(item, field, depth + 1)]),
    ),
  );
}

function text(value: string, field: string): string {
  if (value.includes('\0') || LONE_SURROGATE.test(value)) {
    throw invalid(field, value.includes('\0') ? 'a text has U+0000' : 'a text has a lone surrogate');
  }
  return value;
}

/** `value` itself, which nobody can change from now on: what is read is what the local copy holds. */
export function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.values(value).forEach(frozen);
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
