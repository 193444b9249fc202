/** One device in the page. */

import type { Device } from './device.ts';
import { clone, part } from './dom.ts';
import { RowView, type RowActions } from './row-view.ts';
import { counterOf, openPoints, rowsOf, statusOf } from './rows.ts';

export interface DeviceActions extends RowActions {
  setOnline(online: boolean): void;
  add(text: string): void;
  increment(by: number): void;
}

export class DeviceView {
  readonly element: HTMLElement;
  private readonly rows = new Map<string, RowView>();
  private readonly actions: DeviceActions;
  private lastLogId = 0;

  constructor(title: string, actions: DeviceActions) {
    this.actions = actions;
    this.element = clone('device-template');
    this.element.ariaLabel = title;
    this.part('.title').textContent = title;
    this.part('.items').ariaLabel = `Packing list on the ${title}`;
    this.part('.log').ariaLabel = `Event log of the ${title}`;
    const online = this.part<HTMLInputElement>('.online');
    online.addEventListener('change', () => actions.setOnline(online.checked));
    const form = this.part<HTMLFormElement>('.add');
    const text = this.part<HTMLInputElement>('.new-text');
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (text.value.trim() !== '') {
        actions.add(text.value.trim());
        text.value = '';
      }
    });
    this.part('.less').addEventListener('click', () => actions.increment(-1));
    this.part('.more').addEventListener('click', () => actions.increment(1));
  }

  render(device: Device): void {
    const status = statusOf(device);
    this.element.dataset.status = status;
    this.part('.status').textContent = status;
    this.part<HTMLInputElement>('.online').checked = device.online;
    this.part('.halted').hidden = device.halted === null;
    this.part('.halted').textContent = device.halted ?? '';
    const open = openPoints(device);
    this.part('.facts').textContent = [`version ${device.replica.version}`, open].filter(Boolean).join(' · ');
    this.renderRows(device);
    const { count, unsent } = counterOf(device);
    this.part('.count').textContent = String(count);
    this.part('.counter .unsent').hidden = !unsent;
    this.renderLog(device);
  }

  private renderRows(device: Device): void {
    const rows = rowsOf(device);
    const list = this.part('.items');
    const keys = new Set(rows.map((row) => row.key));
    for (const [key, view] of this.rows) {
      if (!keys.has(key)) {
        const focused = view.element.contains(document.activeElement);
        view.element.remove();
        this.rows.delete(key);
        if (focused) {
          this.part('.new-text').focus();
        }
      }
    }
    rows.forEach((row, place) => {
      const view = this.rows.get(row.key) ?? new RowView(row, this.actions);
      this.rows.set(row.key, view);
      if (list.children[place] !== view.element) {
        list.insertBefore(view.element, list.children[place] ?? null);
      }
      view.render(row);
    });
    this.part('.empty').hidden = rows.length > 0;
  }

  private renderLog(device: Device): void {
    const log = this.part('.log');
    const fresh = device.log.filter((entry) => entry.id > this.lastLogId);
    for (const { text, tone } of fresh) {
      const line = document.createElement('p');
      line.className = tone;
      line.textContent = text;
      log.append(line);
    }
    while (log.children.length > device.log.length) {
      log.firstElementChild?.remove();
    }
    if (fresh.length > 0) {
      this.lastLogId = fresh.at(-1)?.id ?? this.lastLogId;
      log.scrollTop = log.scrollHeight;
    }
  }

  private part<Kind extends HTMLElement = HTMLElement>(selector: string): Kind {
    return part<Kind>(this.element, selector);
  }
}
