/** Heat maps as flat arrays, a row after the other.  A map: {values, rows, columns}. */

const SCORE_RADIUS = 2;                     // cells around the peak whose share is a joint's score

/** Map `channel` of maps [rows, columns, channels], last axis fastest. */
export function channelOf(maps, channel, { rows, columns, channels }) {
  const values = new Float32Array(rows * columns);
  for (let cell = 0; cell < values.length; cell++) values[cell] = maps[cell * channels + channel];
  return { values, rows, columns };
}

/** Map number `index` of maps [n, rows, columns]. */
export function mapOf(maps, index, { rows, columns }) {
  const size = rows * columns;
  return { values: maps.subarray(index * size, (index + 1) * size), rows, columns };
}

/** The product of positive maps, normalised to a sum of 1; computed by logarithms, so that nothing overflows. */
export function product(maps) {
  const [{ values, rows, columns }] = maps;
  const logs = new Float64Array(values.length);
  for (const map of maps) {
    for (let cell = 0; cell < logs.length; cell++) logs[cell] += Math.log(map.values[cell]);
  }
  const largest = largestOf(logs);
  const shares = logs.map((log) => Math.exp(log - largest));
  const sum = shares.reduce((total, share) => total + share, 0);
  return { values: Float32Array.from(shares, (share) => share / sum), rows, columns };
}

/** Each cell's largest value over several maps, every map relative to its peak. */
export function brightest(maps) {
  const [{ rows, columns }] = maps;
  const values = new Float32Array(rows * columns);
  for (const map of maps) {
    const peak = largestOf(map.values);
    map.values.forEach((value, cell) => {
      values[cell] = Math.max(values[cell], value / peak);
    });
  }
  return { values, rows, columns };
}

export function largestOf(values) {
  let largest = -Infinity;
  for (const value of values) if (value > largest) largest = value;
  return largest;
}

/** {row, column} of the highest cell. */
export function peakCell({ values, columns }) {
  let best = 0;
  for (let cell = 1; cell < values.length; cell++) if (values[cell] > values[best]) best = cell;
  return { row: Math.floor(best / columns), column: best % columns };
}

/**
 * Where a map peaks, pixels [x, y]: the vertex of the parabola through the logarithms of the highest cell and its two
 * neighbours, along each axis; at the border the cell's centre.
 */
export function peakPoint(map, stride) {
  const { row, column } = peakCell(map);
  const at = (r, c) => map.values[r * map.columns + c];
  let [x, y] = [column, row];
  if (column > 0 && column < map.columns - 1) {
    x += vertex(at(row, column - 1), at(row, column), at(row, column + 1));
  }
  if (row > 0 && row < map.rows - 1) {
    y += vertex(at(row - 1, column), at(row, column), at(row + 1, column));
  }
  return [(x + 0.5) * stride, (y + 0.5) * stride];
}

function vertex(...three) {
  const [before, here, after] = three.map((value) => Math.log(Math.max(value, 1e-12 * three[1] + 1e-300)));
  const bend = Math.min(before - 2 * here + after, -1e-12);
  return Math.min(0.5, Math.max(-0.5, (before - after) / (2 * bend)));
}

/** The share of a map's mass that lies near its peak. */
export function score(map) {
  const peak = peakCell(map);
  let near = 0;
  let all = 0;
  map.values.forEach((value, cell) => {
    const row = Math.floor(cell / map.columns);
    const column = cell % map.columns;
    all += value;
    if (Math.abs(row - peak.row) <= SCORE_RADIUS && Math.abs(column - peak.column) <= SCORE_RADIUS) near += value;
  });
  return near / all;
}
