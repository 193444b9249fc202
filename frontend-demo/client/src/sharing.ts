/** Who sees a dataset. All of it needs the server, and nothing of it is kept for later. */

import { localKey } from './context.ts';
import { connected, request, type Link, type Variables } from './link.ts';
import type { LocalDataset } from './local.ts';
import { INFO, type DatasetInfo, type DatasetRef } from './protocol.ts';
import type { Role } from './replica.ts';

export interface Member {
  readonly identityId: string;
  readonly role: Role;
  readonly since: string;
}

export interface Invitation {
  readonly id: string;
  readonly role: Role;
  readonly usesLeft: number;
  readonly createdAt: string;
  readonly expiresAt: string;
}

export interface NewInvitation {
  /** EDITOR or VIEWER. */
  readonly role: Role;
  /** How many may accept it: 1, if left out. */
  readonly uses?: number;
  /** RFC 3339; left out: in 7 days. */
  readonly expiresAt?: string;
}

export type DatasetScope = 'ALL' | 'OWNED' | 'SHARED';

const AGAIN_MS = 2_000;
const MEMBER = '{identityId role since}';
const INVITATION = '{id role usesLeft createdAt expiresAt}';

/** The types of all variables that these operations have. */
const TYPES: Readonly<Record<string, string>> = {
  dataset: 'DatasetRef!',
  identityId: 'ID!',
  invitationId: 'ID!',
  role: 'Role!',
  code: 'String!',
  scope: 'DatasetScope',
  after: 'String',
  input: 'CreateInvitationInput!',
};

/** Ask one field; `inner` are the variables of fields within its `selection`. */
async function field<T>(link: Link, kind: string, name: string, variables: Variables, selection: string, inner = ''): Promise<T> {
  await connected(link);
  const names = Object.keys(variables);
  const declared = names.map((variable) => `$${variable}:${TYPES[variable]}`).join();
  const given = names.filter((variable) => variable !== inner).map((variable) => `${variable}:$${variable}`).join();
  const data = await request<Readonly<Record<string, T>>>(link, `${kind}(${declared}){${name}(${given})${selection}}`, variables);
  return data[name]!;
}

interface Paged<T> {
  readonly nodes: readonly T[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

async function all<T>(page: (after: string | null) => Promise<Paged<T> | undefined>): Promise<readonly T[]> {
  let found: readonly T[] = [];
  for (let after: string | null | undefined = null; after !== undefined; ) {
    const next: Paged<T> | undefined = await page(after);
    found = [...found, ...(next?.nodes ?? [])];
    after = next?.pageInfo.hasNextPage ? next.pageInfo.endCursor : undefined;
  }
  return found;
}

const paged = (selection: string): string => `{nodes${selection}pageInfo{hasNextPage endCursor}}`;

export const datasets = (link: Link, scope: DatasetScope): Promise<readonly DatasetInfo[]> =>
  all((after) => field<Paged<DatasetInfo>>(link, 'query', 'datasets', { scope, after }, paged(INFO)));

/** What became of this identity's access to a dataset. */
export interface SharingEvent {
  readonly kind: 'granted' | 'role changed' | 'ended';
  readonly datasetId: string;
  readonly name?: string;
  readonly role?: Role;
}

const KINDS: Readonly<Record<string, SharingEvent['kind']>> = {
  AccessGranted: 'granted',
  RoleChanged: 'role changed',
  AccessEnded: 'ended',
};
const ACCESS = '{datasetId name role}';
const SHARING = `subscription{identityChanges(skipOwn:true){__typename ...on AccessGranted${ACCESS}...on RoleChanged${ACCESS}...on AccessEnded{datasetId}}}`;

/** Tell what becomes of this identity's access from now on, over whatever connection, and keep the role. */
export function watchSharing(
  link: Link,
  locals: ReadonlyMap<string, LocalDataset>,
  tell: ((event: SharingEvent) => void) | undefined,
): void {
  const watch = () => {
    if (link.status.value.state === 'live') {
      link.subscribe<{ identityChanges: Omit<SharingEvent, 'kind'> & { readonly __typename: string } }>(SHARING, {}, {
        next: ({ identityChanges: { __typename, ...facts } }) => {
          const kind = KINDS[__typename];
          const { datasetId: id, role } = facts;
          if (role) {
            // If it cannot be kept, the next sync says it again.
            locals.get(localKey({ id }))?.update((draft) => (draft.head = { ...draft.head, role }), 'elsewhere').catch(() => undefined);
          }
          if (kind) {
            tell?.({ kind, ...facts });
          }
        },
        ended: ({ retryable }, lost) => void (retryable && !lost && setTimeout(watch, AGAIN_MS)),
      });
    }
  };
  link.status.listen(watch);
  watch();
}

export const acceptInvitation = (link: Link, code: string): Promise<DatasetInfo> =>
  field(link, 'mutation', 'acceptInvitation', { code }, INFO);

export interface Sharing {
  members(): Promise<readonly Member[]>;
  share(identityId: string, role: Role): Promise<Member>;
  changeRole(identityId: string, role: Role): Promise<Member>;
  removeMember(identityId: string): Promise<void>;
  transferOwnership(identityId: string): Promise<void>;
  leave(): Promise<void>;
  /** Whoever sends its code becomes a member. */
  invite(invitation: NewInvitation): Promise<Invitation & { readonly code: string }>;
  invitations(): Promise<readonly Invitation[]>;
  revokeInvitation(invitationId: string): Promise<void>;
  /** Delete it on the server, for every device. */
  delete(): Promise<void>;
}

export function sharingOf(link: Link, dataset: DatasetRef): Sharing {
  const act = <T>(name: string, variables: Variables, selection: string) =>
    field<T>(link, 'mutation', name, { dataset, ...variables }, selection);
  const done = async (name: string, variables: Variables, selection: string) => void (await act(name, variables, selection));
  return {
    members: () =>
      all(async (after) => {
        const selection = `{members(after:$after)${paged(MEMBER)}}`;
        const found = await field<{ members: Paged<Member> } | null>(link, 'query', 'dataset', { dataset, after }, selection, 'after');
        return found?.members;
      }),
    share: (identityId, role) => act('shareDataset', { identityId, role }, MEMBER),
    changeRole: (identityId, role) => act('changeRole', { identityId, role }, MEMBER),
    removeMember: (identityId) => done('removeMember', { identityId }, '{identityId}'),
    transferOwnership: (identityId) => done('transferOwnership', { identityId }, '{id}'),
    leave: () => done('leaveDataset', {}, '{datasetId}'),
    async invite(invitation) {
      const input = { dataset, ...invitation };
      const selection = `{code invitation${INVITATION}}`;
      const made = await field<{ code: string; invitation: Invitation }>(link, 'mutation', 'createInvitation', { input }, selection);
      return { ...made.invitation, code: made.code };
    },
    async invitations() {
      const selection = `{invitations${INVITATION}}`;
      const found = await field<{ invitations: readonly Invitation[] } | null>(link, 'query', 'dataset', { dataset }, selection);
      return found?.invitations ?? [];
    },
    revokeInvitation: (invitationId) => done('revokeInvitation', { invitationId }, '{invitationId}'),
    delete: () => done('deleteDataset', {}, '{datasetId}'),
  };
}
