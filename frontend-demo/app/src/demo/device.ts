/**
 * One device as a value: `reduce` says what an event makes of it, `nextStep` what it has to do next.
 *
 * Invariants:
 * - at most one request is under way, and only on a link that is up;
 * - a push that was begun keeps its mutation id and its changes until its outcome is known, so it can be sent again;
 * - a key is in `conflicts` or has edits under way, never both;
 * - while a stream is open, it was opened at the replica's checkpoint or has been told where it goes on from.
 */

import { applied, enqueued, remade, type Change } from './changes.ts';
import { described } from './list.ts';
import { before, outcome, type Conflicts, type Line } from './outcome.ts';
import type {
  Checkpoint,
  DatasetEvent,
  Json,
  PullResult,
  RemoteRecord,
  ResyncRequired,
  SyncApplied,
  SyncConflicted,
  SyncResult,
} from './protocol.ts';
import { EMPTY, pulled, received, type Replica } from './replica.ts';

export interface Push {
  readonly mutationId: string;
  readonly changes: readonly Change[];
}

export interface LogEntry extends Line {
  readonly id: number;
}

export interface Device {
  /** The user's switch. */
  readonly online: boolean;
  readonly link: 'down' | 'connecting' | 'up' | 'waiting';
  readonly stream: 'closed' | 'opening' | 'live';
  readonly request: 'push' | 'pull' | null;
  /** There is something to pull that the stream will not bring. */
  readonly behind: boolean;
  /** Why the device gave up until the user switches it off and on. */
  readonly halted: string | null;
  readonly replica: Replica;
  readonly outbox: readonly Change[];
  readonly push: Push | null;
  readonly conflicts: Conflicts;
  readonly log: readonly LogEntry[];
}

export type DeviceEvent =
  | { readonly type: 'switched'; readonly online: boolean }
  | { readonly type: 'connecting' }
  | { readonly type: 'connected' }
  | { readonly type: 'lost'; readonly reason: string }
  | { readonly type: 'waited' }
  | { readonly type: 'halted'; readonly message: string }
  | { readonly type: 'changed'; readonly change: Change }
  | { readonly type: 'chosen'; readonly key: string; readonly keep: 'mine' | 'theirs' }
  | { readonly type: 'pushing'; readonly mutationId: string }
  | { readonly type: 'pushed'; readonly since: Checkpoint; readonly result: SyncResult }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'pulling' }
  | { readonly type: 'pulled'; readonly since: Checkpoint; readonly result: PullResult }
  | { readonly type: 'streaming' }
  | { readonly type: 'heard'; readonly event: DatasetEvent };

export type Step = 'connect' | 'push' | 'pull' | 'stream';

export const NEW_DEVICE: Device = {
  online: true,
  link: 'down',
  stream: 'closed',
  request: null,
  behind: false,
  halted: null,
  replica: EMPTY,
  outbox: [],
  push: null,
  conflicts: {},
  log: [],
};

const CHANGES_PER_PUSH = 100;
const LOG_ENTRIES = 50;

/** What the device does next; null: it waits for an event. */
export function nextStep(device: Device): Step | null {
  if (!device.online || device.halted !== null) {
    return null;
  }
  if (device.link === 'down') {
    return 'connect';
  }
  if (device.link !== 'up' || device.request !== null) {
    return null;
  }
  if (device.push !== null || device.outbox.length > 0) {
    return 'push';
  }
  if (device.behind) {
    return 'pull';
  }
  return device.stream === 'closed' ? 'stream' : null;
}

/** The value of a record as the device shows it: the server's, with what is not sent or not acknowledged on top. */
export function shownValue(device: Device, key: string): Json | undefined {
  return unsent(device)
    .filter((change) => change.key === key)
    .reduce((value: Json | undefined, change) => applied(change, value), device.replica.values[key]);
}

/** Changes whose outcome is not known, in their order. */
export function unsent(device: Device): readonly Change[] {
  return [...(device.push?.changes ?? []), ...device.outbox];
}

export function reduce(device: Device, event: DeviceEvent): Device {
  switch (event.type) {
    case 'switched':
      return noted({ ...unlinked(device, 'down'), online: event.online, halted: null }, [
        { text: event.online ? 'Switched online' : 'Switched offline', tone: 'plain' },
      ]);
    case 'connecting':
      return { ...device, link: 'connecting' };
    case 'connected':
      return { ...device, link: 'up', behind: true };
    case 'lost':
      return noted(unlinked(device, 'waiting'), [{ text: `Connection lost: ${event.reason}`, tone: 'warning' }]);
    case 'waited':
      return { ...device, link: 'down' };
    case 'halted':
      return halted(device, event.message);
    case 'changed':
      return event.change.key in device.conflicts
        ? device
        : { ...device, outbox: enqueued(device.outbox, event.change) };
    case 'chosen':
      return chosen(device, event.key, event.keep);
    case 'pushing':
      return pushing(device, event.mutationId);
    case 'pushed':
      return pushed({ ...device, request: null }, event.since, event.result);
    case 'refused':
      return halted(requeued(device), event.message);
    case 'pulling':
      return { ...device, request: 'pull', behind: false };
    case 'pulled':
      return afterPull({ ...device, request: null }, event.since, event.result);
    case 'streaming':
      return { ...device, stream: 'opening' };
    case 'heard':
      return heard(device, event.event);
  }
}

function unlinked(device: Device, link: 'down' | 'waiting'): Device {
  return { ...device, link, stream: 'closed', request: null };
}

function halted(device: Device, message: string): Device {
  return noted({ ...unlinked(device, 'down'), halted: message }, [{ text: message, tone: 'bad' }]);
}

function noted(device: Device, lines: readonly Line[]): Device {
  const next = (device.log.at(-1)?.id ?? 0) + 1;
  const entries = lines.map((line, index) => ({ ...line, id: next + index }));
  return { ...device, log: [...device.log, ...entries].slice(-LOG_ENTRIES) };
}

function chosen(device: Device, key: string, keep: 'mine' | 'theirs'): Device {
  const { [key]: edit, ...conflicts } = device.conflicts;
  if (edit === undefined) {
    return device;
  }
  const again = keep === 'mine' ? remade(edit, device.replica.values[key]) : null;
  const outbox = again === null ? device.outbox : enqueued(device.outbox, again);
  return noted({ ...device, conflicts, outbox }, [{ text: `Conflict solved: kept ${keep}`, tone: 'good' }]);
}

function pushing(device: Device, mutationId: string): Device {
  const push = device.push ?? { mutationId, changes: device.outbox.slice(0, CHANGES_PER_PUSH) };
  const outbox = device.push === null ? device.outbox.slice(CHANGES_PER_PUSH) : device.outbox;
  // The answer brings what a pull would bring.
  return { ...device, push, outbox, request: 'push', behind: false };
}

/** The push is over without effect: its changes go again, under a new id. */
function requeued(device: Device): Device {
  return { ...device, push: null, outbox: (device.push?.changes ?? []).reduceRight(before, device.outbox) };
}

function pushed(device: Device, since: Checkpoint, result: SyncResult): Device {
  if (result.__typename === 'ResyncRequired') {
    // Under the same id the push is still done once. But if the dataset is another one, the id stands for the old one.
    return resynced(result.reason === 'DATASET_RECREATED' ? requeued(device) : device, result);
  }
  const changes = device.push?.changes ?? [];
  const { outbox, conflicts, lines } = outcome(changes, device.outbox, result);
  const settled = { ...device, push: null, outbox, conflicts: { ...device.conflicts, ...conflicts } };
  const replica = pulled(device.replica, since, result);
  return noted(
    // Without a replica the stream was faster than this answer, and goes on to bring what the answer holds.
    replica === null ? settled : { ...settled, replica, behind: settled.behind || result.hasMore },
    [...taken(result), ...lines],
  );
}

function taken(result: SyncApplied | SyncConflicted): Line[] {
  const results = result.__typename === 'SyncApplied' ? result.results : [];
  const changes = results.filter(({ status }) => status !== 'CONFLICT' && status !== 'REJECTED').length;
  return changes === 0 ? [] : [{ text: `Synchronized ${count(changes, 'change')}`, tone: 'good' }];
}

function afterPull(device: Device, since: Checkpoint, result: PullResult): Device {
  if (result.__typename === 'ResyncRequired') {
    return resynced(device, result);
  }
  const replica = pulled(device.replica, since, result);
  if (replica === null) {
    return { ...device, behind: true };
  }
  const lines: Line[] =
    result.records.length > 0 ? [{ text: `Pulled ${count(result.records.length, 'record')}`, tone: 'plain' }] : [];
  return noted({ ...device, replica, behind: device.behind || result.hasMore }, lines);
}

/** The answer to a request: what the device holds leads nowhere. It begins anew, and so must its stream. */
function resynced(device: Device, { reason }: ResyncRequired): Device {
  return noted({ ...device, replica: EMPTY, stream: 'closed', behind: true }, [
    { text: `Resync required (${reason}): pulling everything anew`, tone: 'warning' },
  ]);
}

function heard(device: Device, event: DatasetEvent): Device {
  switch (event.__typename) {
    case 'Ready':
      return noted({ ...device, stream: 'live' }, [
        { text: event.resumed ? 'Ready: live from where it was' : 'Ready: live', tone: 'good' },
      ]);
    case 'Commit': {
      const reception = received(device.replica, event);
      switch (reception.kind) {
        case 'applied':
          return noted({ ...device, replica: reception.replica }, [
            { text: `Commit version ${event.version}: ${summary(device.replica, event.records)}`, tone: 'plain' },
          ]);
        case 'known':
          return device;
        case 'gap':
          return noted({ ...device, behind: true }, [
            { text: `Commit version ${event.version} does not follow: pulling`, tone: 'warning' },
          ]);
      }
      break;
    }
    case 'ResyncRequired':
      // The stream itself goes on from the start: its next commits bring every live record.
      return noted({ ...device, replica: EMPTY }, [
        { text: `Resync required (${event.reason}): everything comes anew`, tone: 'warning' },
      ]);
    case 'DatasetDeleted':
      return noted({ ...device, replica: EMPTY }, [{ text: 'Dataset deleted', tone: 'warning' }]);
    case 'AccessEnded':
      return halted({ ...device, replica: EMPTY }, 'Access ended: this device may no longer see the list');
  }
}

function summary(before: Replica, records: readonly RemoteRecord[]): string {
  const [first] = records;
  if (first === undefined) {
    return 'nothing for this device';
  }
  const words = first.deleted
    ? `removed ${described(first.key, before.values[first.key])}`
    : described(first.key, first.value);
  return records.length === 1 ? words : `${words} and ${records.length - 1} more`;
}

/** “1 record”, “2 records”. */
export function count(quantity: number, noun: string): string {
  return `${quantity} ${noun}${quantity === 1 ? '' : 's'}`;
}
