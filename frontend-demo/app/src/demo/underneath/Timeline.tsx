import { useActivity, type Activity } from '../activity.ts';

const WORDS: Readonly<Record<Activity['trace']['kind'], string>> = {
  connected: 'Connected',
  disconnected: 'Disconnected',
  ready: 'Resumed',
  push: 'Push',
  pushed: 'Acknowledged',
  commit: 'Commit',
  pulled: 'Pulled',
  conflict: 'Conflict',
  parked: 'Refused',
  resync: 'Resync',
  deleted: 'Deleted',
  'access ended': 'Access ended',
};

const list = (value: unknown): string => (Array.isArray(value) ? value.join(', ') : '');

function factsOf({ trace }: Activity): string {
  switch (trace.kind) {
    case 'disconnected':
      return String(trace['reason'] ?? '');
    case 'ready':
      return trace['resumed'] ? `from version ${String(trace['version'])}` : 'from the start';
    case 'push':
      return `${String(trace['changes'])} changes`;
    case 'pushed':
      return `${list(trace['statuses']).toLowerCase()} in ${Math.round(Number(trace['milliseconds']))} ms`;
    case 'pulled':
      return `${String(trace['records'])} records`;
    case 'commit':
    case 'conflict':
      return list(trace['keys']);
    case 'parked':
      return `${String(trace['key'])}: ${String(trace['code'])}`;
    case 'resync':
      return String(trace['reason']);
    default:
      return '';
  }
}

const versionOf = ({ trace }: Activity): string =>
  typeof trace['version'] === 'number' && trace['version'] > 0 ? `v${trace['version']}` : '';

/** The newest on top. */
export function Timeline() {
  const { activities } = useActivity();
  return (
    <section aria-label="Timeline">
      <h2>Timeline</h2>
      {activities.length === 0 ? <p className="empty">Nothing has happened yet. Edit something under Devices.</p> : null}
      <div className="scrolls" tabIndex={0} role="region" aria-label="What happened, the newest first">
        <table className="timeline">
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">Device</th>
              <th scope="col">What</th>
              <th scope="col">Dataset</th>
              <th scope="col">Version</th>
              <th scope="col">Facts</th>
            </tr>
          </thead>
          <tbody>
            {activities.map((activity) => (
              <tr key={activity.id} className={`kind-${activity.trace.kind.replace(' ', '-')}`}>
                <td className="numbers">{new Date(activity.trace.at).toLocaleTimeString()}</td>
                <td>{activity.device}</td>
                <td className="what">{WORDS[activity.trace.kind]}</td>
                <td>{activity.trace.dataset?.replace(/^id (.{8}).*/, '#$1') ?? ''}</td>
                <td className="numbers">{versionOf(activity)}</td>
                <td className="facts">{factsOf(activity)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
