/** What two states of a record differ in, as people read it. */

import type { Conflict, Json, JsonObject, State } from '@syncline/client';

const objectOf = (state: State): JsonObject | undefined => {
  const value = 'value' in state ? state.value : undefined;
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
};

/** The names of the fields in which mine and theirs differ; of a record that one of them removed, its first text. */
export function differing({ mine, theirs }: Pick<Conflict, 'mine' | 'theirs'>): readonly string[] {
  const [a, b] = [objectOf(mine), objectOf(theirs)];
  const names = Object.keys({ ...b, ...a });
  if (a && b) {
    return names.filter((name) => JSON.stringify(a[name]) !== JSON.stringify(b[name]));
  }
  return names.filter((name) => typeof (a ?? b)?.[name] === 'string').slice(0, 1);
}

function word(name: string, value: Json | undefined): string {
  if (typeof value === 'string') {
    return value;
  }
  return value === undefined ? `no ${name}` : `${name}: ${typeof value === 'boolean' ? (value ? 'yes' : 'no') : JSON.stringify(value)}`;
}

/** What the fields of a state say. */
export function inWords(state: State, fields: readonly string[]): string {
  if ('deleted' in state) {
    return '(nothing)';
  }
  const object = objectOf(state);
  return object ? fields.map((name) => word(name, object[name])).join(', ') : JSON.stringify(state.value);
}

/** The field that an own text can be for: a text on either side. */
export const textField = ({ mine, theirs }: Pick<Conflict, 'mine' | 'theirs'>, fields: readonly string[]): string | undefined =>
  fields.find((name) => [mine, theirs].some((state) => typeof objectOf(state)?.[name] === 'string'));

/** Theirs, with a text of one's own in it. */
export const withText = ({ mine, theirs }: Pick<Conflict, 'mine' | 'theirs'>, field: string, text: string): Json => ({
  ...(objectOf(theirs) ?? objectOf(mine)),
  [field]: text,
});
