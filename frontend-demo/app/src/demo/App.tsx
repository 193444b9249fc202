import { useEffect, useState, useSyncExternalStore } from 'react';
import icon from '../icon.svg';
import { BoardView, VisitorView } from './board/BoardView.tsx';
import { DevicesView } from './devices/DevicesView.tsx';
import { ANA, useNoTokens } from './identities.ts';
import { Troubled } from './ui/Troubled.tsx';
import { UnderneathView } from './underneath/UnderneathView.tsx';

const VIEWS = [
  ['devices', 'Devices'],
  ['board', 'Board'],
  ['underneath', 'Underneath'],
] as const;

const JOIN = 'join=';

function useHash(): string {
  return useSyncExternalStore(
    (changed) => {
      addEventListener('hashchange', changed);
      return () => removeEventListener('hashchange', changed);
    },
    () => location.hash.slice(1),
  );
}

const THEME = 'syncline-demo-theme';

/** As the system has it, until one chooses. */
function useTheme(): readonly [string, () => void] {
  const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const [theme, setTheme] = useState(localStorage.getItem(THEME) ?? system);
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme;
  }, [theme]);
  const other = () => {
    const next = theme === 'dark' ? 'light' : 'dark';
    localStorage.setItem(THEME, next);
    setTheme(next);
  };
  return [theme, other];
}

export function App() {
  const hash = useHash();
  const [theme, otherTheme] = useTheme();
  const current = VIEWS.find(([name]) => name === hash)?.[0] ?? 'devices';
  const joins = hash.startsWith(JOIN);

  useEffect(() => {
    const title = joins ? 'Invitation' : VIEWS.find(([name]) => name === current)?.[1];
    document.title = `${title} · Syncline`;
  }, [joins, current]);

  return (
    <>
      <header className="page-header">
        <h1>
          <img src={icon} alt="" width={22} height={22} />
          Syncline
        </h1>
        <nav aria-label="Views">
          {VIEWS.map(([name, title]) => (
            <a key={name} href={`#${name}`} aria-current={!joins && name === current ? 'page' : undefined}>
              {title}
            </a>
          ))}
          <a href={`/graphiql?identity=${ANA}`}>GraphiQL</a>
        </nav>
        <button type="button" className="quiet" aria-label={theme === 'dark' ? 'Light colours' : 'Dark colours'} onClick={otherTheme}>
          {theme === 'dark' ? '☀' : '☾'}
        </button>
      </header>
      <main>
        {useNoTokens() ? (
          <p role="alert" className="notice">
            This server hands out no tokens, so the devices stay offline. Start it for trying out:{' '}
            <code>syncline serve --dev</code>
          </p>
        ) : null}
        <Troubled key={hash}>
          {joins ? (
            <VisitorView code={hash.slice(JOIN.length)} />
          ) : current === 'board' ? (
            <BoardView />
          ) : current === 'underneath' ? (
            <UnderneathView />
          ) : (
            <DevicesView />
          )}
        </Troubled>
      </main>
    </>
  );
}
