/** What the records of the reading list stand for. */

import type { Dataset, Json, JsonObject } from '@syncline/client';

export const READING = 'reading';
export const PROFILE = 'profile';

export interface Book {
  readonly id: string;
  readonly title: string;
  readonly pages: number;
  /** The page one has read to, on any device. */
  readonly page: number;
}

const BOOKS: readonly (readonly [string, string, number])[] = [
  ['middlemarch', 'Middlemarch', 880],
  ['invisible-cities', 'Invisible Cities', 165],
  ['the-dispossessed', 'The Dispossessed', 341],
];

const object = (value: Json | undefined): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

const text = (value: Json | undefined, otherwise: string): string => (typeof value === 'string' ? value : otherwise);
const number = (value: Json | undefined): number => (typeof value === 'number' ? value : 0);

/** The books among the records, by title; the page of each is a record of its own, which only grows. */
export function booksIn(entries: readonly (readonly [string, Json])[]): readonly Book[] {
  const records = new Map(entries);
  return entries
    .filter(([key]) => key.startsWith('book/'))
    .map(([key, value]) => {
      const id = key.slice('book/'.length);
      const { title, pages } = object(value);
      return { id, title: text(title, id), pages: Math.max(1, number(pages)), page: number(records.get(`page/${id}`)) };
    })
    .sort((a, b) => a.title.localeCompare(b.title));
}

/** The book that was read last, on whatever device: the record `last` holds when and which, and the latest wins. */
export function lastRead(entries: readonly (readonly [string, Json])[], books: readonly Book[]): Book | undefined {
  const last = text(new Map(entries).get('last'), '').split(' ')[1];
  return books.find(({ id }) => id === last);
}

export function readTo(dataset: Dataset, { id }: Book, page: number): void {
  void dataset.max(`page/${id}`, page);
  void dataset.max('last', `${new Date().toISOString()} ${id}`);
}

export function addBook(dataset: Dataset, title: string): void {
  void dataset.put(`book/${crypto.randomUUID()}`, { title, pages: 200 });
}

export function addExamples(dataset: Dataset): void {
  void dataset.transaction((edit) => {
    for (const [id, title, pages] of BOOKS) {
      edit.put(`book/${id}`, { title, pages });
    }
  });
}

export function removeBook(dataset: Dataset, { id }: Book): void {
  void dataset.transaction((edit) => {
    edit.remove(`book/${id}`);
    edit.remove(`page/${id}`);
  });
}

/** A profile to begin with, so that devices that change different fields change one record that both have. */
export async function beginProfile(dataset: Dataset): Promise<void> {
  // A device that just became live may not have heard yet of what there is.
  await dataset.synchronize();
  if (!dataset.has('me')) {
    await dataset.transaction((edit) => {
      edit.put('me', { name: 'Ana', motto: 'Reads on trains' });
      edit.put('settings', { size: 'Medium', weekly: false });
    });
  }
}

export const settingsIn = (value: Json | undefined): { readonly size: string; readonly weekly: boolean } => {
  const { size, weekly } = object(value);
  return { size: text(size, 'Medium'), weekly: weekly === true };
};

export const profileIn = (value: Json | undefined): { readonly name: string; readonly motto: string } => {
  const { name, motto } = object(value);
  return { name: text(name, ''), motto: text(motto, '') };
};
