/** How often things are tried. `SYNCLINE_SOAK=1` asks for the long run, `SYNCLINE_PROPERTY_RUNS` for a number of examples. */

export const isSoak = process.env['SYNCLINE_SOAK'] === '1';

export const RUNS = {
  properties: Number(process.env['SYNCLINE_PROPERTY_RUNS'] ?? (isSoak ? 50_000 : 1_000)),
  proof: isSoak ? 4_000 : 200,
};
