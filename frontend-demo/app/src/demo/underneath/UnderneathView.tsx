import { LatencyChart } from './LatencyChart.tsx';
import { Pulse } from './Pulse.tsx';
import { Timeline } from './Timeline.tsx';

export function UnderneathView() {
  return (
    <>
      <div className="intro">
        <p>What the devices and the server say to each other: syncs, commits, resumes and conflicts, with their versions.</p>
        <Pulse />
      </div>
      <div className="card">
        <LatencyChart />
      </div>
      <div className="card">
        <Timeline />
      </div>
    </>
  );
}
