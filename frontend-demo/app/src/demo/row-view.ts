/** One item of the list in the page. */

import type { Seen } from './changes.ts';
import { clone, part } from './dom.ts';
import type { Item } from './list.ts';
import type { Row } from './rows.ts';

export interface RowActions {
  edit(key: string, patch: Partial<Item>, seen: Seen): void;
  remove(key: string, seen: Seen): void;
  choose(key: string, keep: 'mine' | 'theirs'): void;
}

export class RowView {
  readonly element: HTMLElement;
  private readonly done: HTMLInputElement;
  private readonly text: HTMLInputElement;
  private readonly removal: HTMLButtonElement;
  private row: Row;
  /** What the user saw when they began to type: others may change the item meanwhile. */
  private seenAtFocus: Seen = null;

  constructor(row: Row, actions: RowActions) {
    this.element = clone('row-template');
    this.row = row;
    this.done = part(this.element, '.done');
    this.text = part(this.element, '.text');
    this.removal = part(this.element, '.remove');
    this.done.addEventListener('change', () => actions.edit(row.key, { done: this.done.checked }, this.row.seen));
    this.text.addEventListener('focus', () => (this.seenAtFocus = this.row.seen));
    this.text.addEventListener('change', () => {
      const text = this.text.value.trim();
      if (text !== '' && text !== this.row.item.text) {
        actions.edit(row.key, { text }, this.seenAtFocus);
        this.seenAtFocus = this.row.seen;
      }
    });
    this.text.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') {
        this.text.blur();
      } else if (event.key === 'Escape') {
        this.text.value = this.row.item.text;
      }
    });
    this.text.addEventListener('blur', () => this.render(this.row));
    this.removal.addEventListener('click', () => actions.remove(row.key, this.row.seen));
    part(this.element, '.keep-mine').addEventListener('click', () => actions.choose(row.key, 'mine'));
    part(this.element, '.keep-theirs').addEventListener('click', () => actions.choose(row.key, 'theirs'));
  }

  render(row: Row): void {
    const { item, conflict } = row;
    const changed = item.text !== this.row.item.text || item.done !== this.row.item.done;
    const conflictPart = part(this.element, '.conflict');
    const solved = conflict === null && conflictPart.contains(document.activeElement);
    this.row = row;
    this.done.checked = item.done;
    this.done.ariaLabel = `Packed: ${item.text}`;
    if (document.activeElement !== this.text) {
      this.text.value = item.text;
    }
    this.text.ariaLabel = `Item: ${item.text}`;
    this.removal.ariaLabel = `Remove ${item.text}`;
    this.element.classList.toggle('is-done', item.done);
    part(this.element, '.unsent').hidden = !row.unsent;
    part(this.element, '.fields').hidden = conflict !== null;
    conflictPart.hidden = conflict === null;
    part(this.element, '.mine').textContent = conflict?.mine ?? '';
    part(this.element, '.theirs').textContent = conflict?.theirs ?? '';
    if (solved) {
      // The button that was pressed is gone.
      this.done.focus();
    }
    if (changed && document.activeElement !== this.text && !matchMedia('(prefers-reduced-motion: reduce)').matches) {
      this.element.animate([{ backgroundColor: 'var(--flash)' }, {}], { duration: 900, easing: 'ease-out' });
    }
  }
}
