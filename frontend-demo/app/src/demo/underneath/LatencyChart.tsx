import { useActivity } from '../activity.ts';

const SHOWN = 60;
const WIDTH = 600;
const HEIGHT = 120;

const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;

/** How long changes took from one device of this page to another: the last ones, each a bar. */
export function LatencyChart() {
  const shown = useActivity().deliveries.slice(-SHOWN);
  const sorted = shown.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  const most = Math.max(20, ...sorted);
  const [median, slowest] = [quantile(sorted, 0.5), quantile(sorted, 0.95)].map(Math.round);
  const summary =
    shown.length === 0
      ? 'No change has travelled yet.'
      : `The last ${shown.length}: half of them within ${median} ms, 95 % within ${slowest} ms.`;
  const step = WIDTH / SHOWN;
  return (
    <section aria-label="Delivery latency">
      <h2>Delivery latency</h2>
      <p className="soft">From an edit on one device to its being there on another. {summary}</p>
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={summary} preserveAspectRatio="none">
        {shown.map(({ id, milliseconds }, at) => {
          const height = Math.max(2, (milliseconds / most) * (HEIGHT - 8));
          const x = WIDTH - (shown.length - at) * step;
          return <rect key={id} className="bar" x={x} y={HEIGHT - height} width={step - 3} height={height} rx={1.5} />;
        })}
        <line className="base" x1={0} y1={HEIGHT - 0.5} x2={WIDTH} y2={HEIGHT - 0.5} />
      </svg>
      <p className="soft numbers scale">
        <span>0 – {Math.round(most)} ms</span>
      </p>
    </section>
  );
}
