/** What the records of the board stand for. */

import type { Dataset, Json, JsonObject } from '@syncline/client';

export const BOARD = 'board';

export interface Card {
  readonly key: string;
  readonly text: string;
  readonly done: boolean;
}

const object = (value: Json): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

/** The oldest first. */
export function cardsIn(entries: readonly (readonly [string, Json])[]): readonly Card[] {
  return entries.map(([key, value]) => {
    const { text, done } = object(value);
    return { key, text: typeof text === 'string' ? text : key, done: done === true };
  });
}

export function addCard(dataset: Dataset, text: string): void {
  // Keys are in the order of their time.
  void dataset.put(`${Date.now()}-${crypto.randomUUID().slice(0, 8)}`, { text, done: false });
}

export const cardText = (value: Json): string => {
  const { text } = object(value);
  return typeof text === 'string' ? text : JSON.stringify(value);
};
