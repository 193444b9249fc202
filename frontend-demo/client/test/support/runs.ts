/** How often things are tried: `SYNCLINE_SOAK=1` asks for more. */

const soak = process.env['SYNCLINE_SOAK'] === '1';

export const RUNS = {
  properties: soak ? 50_000 : 1_000,
  proof: soak ? 4_000 : 200,
};
