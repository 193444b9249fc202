/** Who sees a dataset. All of it needs the server, and nothing of it is kept for later. */

import type { Link } from './link.ts';
import type { DatasetInfo, DatasetRef } from './protocol.ts';
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

export type DatasetScope = 'ALL' | 'OWNED' | 'SHARED';

const MEMBER = 'identityId role since';
const INVITATION = 'id role usesLeft createdAt expiresAt';
const INFO = 'id name role ownerId version conflictPolicy';
const REF = '$dataset:DatasetRef!';
const OF = 'dataset:$dataset';
const WHO = '$identityId:ID!';

interface Paged<T> {
  readonly nodes: readonly T[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

async function all<T>(page: (after: string | null) => Promise<Paged<T>>): Promise<readonly T[]> {
  const found: T[] = [];
  for (let after: string | null = null; ; ) {
    const { nodes, pageInfo }: Paged<T> = await page(after);
    found.push(...nodes);
    if (!pageInfo.hasNextPage) {
      return found;
    }
    after = pageInfo.endCursor;
  }
}

export const datasets = (link: Link, scope: DatasetScope): Promise<readonly DatasetInfo[]> =>
  all(async (after) => {
    const query = `query Datasets($scope:DatasetScope!,$after:String){datasets(first:100,after:$after,scope:$scope){nodes{${INFO}}pageInfo{hasNextPage endCursor}}}`;
    return (await link.request<{ datasets: Paged<DatasetInfo> }>(query, { scope, after })).datasets;
  });

export async function acceptInvitation(link: Link, code: string): Promise<DatasetInfo> {
  const query = `mutation Accept($code:String!){acceptInvitation(code:$code){${INFO}}}`;
  return (await link.request<{ acceptInvitation: DatasetInfo }>(query, { code })).acceptInvitation;
}

export class Sharing {
  readonly #link: Link;
  readonly #dataset: DatasetRef;

  constructor(link: Link, dataset: DatasetRef) {
    this.#link = link;
    this.#dataset = dataset;
  }

  members(): Promise<readonly Member[]> {
    return all(async (after) => {
      const query = `query Members(${REF},$after:String){dataset(${OF}){members(first:100,after:$after){nodes{${MEMBER}}pageInfo{hasNextPage endCursor}}}}`;
      const found = await this.#ask<{ dataset: { members: Paged<Member> } | null }>(query, { after });
      return found.dataset?.members ?? { nodes: [], pageInfo: { hasNextPage: false, endCursor: null } };
    });
  }

  async share(identityId: string, role: Role): Promise<Member> {
    const query = `mutation Share(${REF},${WHO},$role:Role!){shareDataset(${OF},identityId:$identityId,role:$role){${MEMBER}}}`;
    return (await this.#ask<{ shareDataset: Member }>(query, { identityId, role })).shareDataset;
  }

  async changeRole(identityId: string, role: Role): Promise<Member> {
    const query = `mutation ChangeRole(${REF},${WHO},$role:Role!){changeRole(${OF},identityId:$identityId,role:$role){${MEMBER}}}`;
    return (await this.#ask<{ changeRole: Member }>(query, { identityId, role })).changeRole;
  }

  async removeMember(identityId: string): Promise<void> {
    await this.#ask(`mutation RemoveMember(${REF},${WHO}){removeMember(${OF},identityId:$identityId){identityId}}`, { identityId });
  }

  async transferOwnership(identityId: string): Promise<void> {
    await this.#ask(`mutation Transfer(${REF},${WHO}){transferOwnership(${OF},identityId:$identityId){id}}`, { identityId });
  }

  async leave(): Promise<void> {
    await this.#ask(`mutation Leave(${REF}){leaveDataset(${OF}){datasetId}}`);
  }

  async invite(input: { readonly role: Role; readonly uses?: number; readonly expiresAt?: string }): Promise<Invitation & { readonly code: string }> {
    const query = `mutation Invite($input:CreateInvitationInput!){createInvitation(input:$input){code invitation{${INVITATION}}}}`;
    const { createInvitation } = await this.#link.request<{ createInvitation: { code: string; invitation: Invitation } }>(query, {
      input: { dataset: this.#dataset, ...input },
    });
    return { ...createInvitation.invitation, code: createInvitation.code };
  }

  async invitations(): Promise<readonly Invitation[]> {
    const query = `query Invitations(${REF}){dataset(${OF}){invitations{${INVITATION}}}}`;
    return (await this.#ask<{ dataset: { invitations: readonly Invitation[] } | null }>(query)).dataset?.invitations ?? [];
  }

  async revokeInvitation(invitationId: string): Promise<void> {
    const query = `mutation Revoke(${REF},$invitationId:ID!){revokeInvitation(${OF},invitationId:$invitationId){invitationId}}`;
    await this.#ask(query, { invitationId });
  }

  async delete(): Promise<void> {
    await this.#ask(`mutation Delete(${REF}){deleteDataset(${OF}){datasetId}}`);
  }

  #ask<T>(query: string, variables: Readonly<Record<string, unknown>> = {}): Promise<T> {
    return this.#link.request<T>(query, { dataset: this.#dataset, ...variables });
  }
}
