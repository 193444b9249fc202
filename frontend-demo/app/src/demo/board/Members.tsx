import { SynclineError, type Dataset, type Member, type Role } from '@syncline/client';
import { useStatus } from '@syncline/client/react';
import { useCallback, useEffect, useState } from 'react';
import { nameOf } from '../identities.ts';

const LOOK_AGAIN_MS = 3_000;
const ROLES: readonly Role[] = ['EDITOR', 'VIEWER'];
const WORDS: Readonly<Record<Role, string>> = { OWNER: 'Owner', EDITOR: 'Editor', VIEWER: 'Viewer' };

/** Who may see the board, for its owner: roles, removal, invitations. */
export function Members(props: { readonly dataset: Dataset; readonly me: string; readonly onInvited: (code: string | undefined) => void }) {
  const { dataset, me, onInvited } = props;
  const [members, setMembers] = useState<readonly Member[]>([]);
  const [role, setRole] = useState<Role>('EDITOR');
  const [link, setLink] = useState<string>();
  const [trouble, setTrouble] = useState<string>();
  const live = useStatus(dataset).state === 'live';

  const look = useCallback(() => void dataset.members().then(setMembers, () => undefined), [dataset]);
  useEffect(() => {
    if (live) {
      look();
      const timer = setInterval(look, LOOK_AGAIN_MS);
      return () => clearInterval(timer);
    }
    return undefined;
  }, [live, look]);

  async function act(work: () => Promise<unknown>): Promise<void> {
    setTrouble(undefined);
    try {
      await work();
    } catch (error) {
      setTrouble(error instanceof SynclineError ? error.message : String(error));
    }
    look();
  }

  async function invite(): Promise<void> {
    await dataset.synchronize();
    if (dataset.id === undefined) {
      // There is nothing to share yet: the first sync makes it.
      await dataset.put('0-welcome', { text: 'Welcome to the board', done: false });
      await dataset.synchronize();
    }
    const { code } = await dataset.invite({ role, uses: 5 });
    setLink(`${window.location.origin}/#join=${code}`);
    onInvited(code);
  }

  async function remove(identityId: string): Promise<void> {
    await dataset.removeMember(identityId);
    // Whoever still has a code could come back with it.
    const open = await dataset.invitations();
    await Promise.all(open.map(({ id }) => dataset.revokeInvitation(id)));
    setLink(undefined);
    onInvited(undefined);
  }

  return (
    <section aria-label="Members" className="members">
      <h3>Members</h3>
      <ul>
        {members.map((member) => (
          <li key={member.identityId}>
            <span className="grow">{nameOf(member.identityId)}</span>
            {member.identityId === me ? (
              <span className="soft">{WORDS[member.role]}</span>
            ) : (
              <>
                <select
                  aria-label={`Role of ${nameOf(member.identityId)}`}
                  value={member.role}
                  onChange={(event) => void act(() => dataset.changeRole(member.identityId, event.currentTarget.value as Role))}
                >
                  {ROLES.map((one) => (
                    <option key={one} value={one}>
                      {WORDS[one]}
                    </option>
                  ))}
                </select>
                <button
                  type="button"
                  className="quiet"
                  aria-label={`Remove ${nameOf(member.identityId)} from the board`}
                  onClick={() => void act(() => remove(member.identityId))}
                >
                  ×
                </button>
              </>
            )}
          </li>
        ))}
      </ul>
      <div className="invite">
        <select aria-label="Role of who is invited" value={role} onChange={(event) => setRole(event.currentTarget.value as Role)}>
          {ROLES.map((one) => (
            <option key={one} value={one}>
              {WORDS[one]}
            </option>
          ))}
        </select>
        <button type="button" disabled={!live} onClick={() => void act(invite)}>
          Invite
        </button>
      </div>
      {link === undefined ? null : (
        <p className="invitation">
          Open this in another browser, or accept it as Ben:
          <a href={link} target="_blank" rel="noreferrer">
            {link}
          </a>
        </p>
      )}
      {trouble === undefined ? null : <p role="alert">{trouble}</p>}
    </section>
  );
}
