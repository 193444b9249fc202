import { useActivity } from '../activity.ts';

const SHOWN = 60;
const WIDTH = 600;
const HEIGHT = 120;
/** The chart's full height, in milliseconds: it changes seldom, so that bars can be compared. */
const SCALES = [50, 100, 200, 500, 1_000, 2_000, 5_000];

const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;

/** How long changes took from one device of this page to another: the last ones, each a bar. */
export function LatencyChart() {
  const shown = useActivity().deliveries.slice(-SHOWN);
  const sorted = shown.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b);
  const slowestOfAll = sorted.at(-1) ?? 0;
  const most = SCALES.find((scale) => scale >= slowestOfAll) ?? slowestOfAll;
  const median = Math.round(quantile(sorted, 0.5));
  const slowest = Math.round(quantile(sorted, 0.95));
  const summary =
    shown.length === 0
      ? 'No change has travelled yet.'
      : `The last ${shown.length}: half of them within ${median} ms, 95 % within ${slowest} ms.`;
  const step = WIDTH / SHOWN;
  const heightOf = (milliseconds: number) => HEIGHT - (milliseconds / most) * (HEIGHT - 8);
  return (
    <section aria-label="Delivery latency">
      <h2>Delivery latency</h2>
      <p className="soft">From an edit on one device to its being there on another. {summary}</p>
      <svg className="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={summary} preserveAspectRatio="none">
        {shown.map(({ id, milliseconds }, at) => {
          const x = WIDTH - (shown.length - at) * step;
          const y = Math.min(HEIGHT - 2, heightOf(milliseconds));
          return <rect key={id} className="bar" x={x} y={y} width={step - 3} height={HEIGHT - y} rx={1.5} />;
        })}
        {shown.length === 0 ? null : (
          <line className="median" x1={0} y1={heightOf(median)} x2={WIDTH} y2={heightOf(median)} />
        )}
        <line className="base" x1={0} y1={HEIGHT - 0.5} x2={WIDTH} y2={HEIGHT - 0.5} />
      </svg>
      <p className="soft numbers scale">
        <span>0 – {Math.round(most)} ms; the line is the median</span>
      </p>
    </section>
  );
}
