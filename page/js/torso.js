/**
 * The torso of the clearest person, from the detector's maps: jointpose's torso.py does the same.
 *
 * A cell's score is the sum, over shoulders and hips, of log(EPSILON + what the joint's map says about a torso there).
 */
import { peakCell, peakPoint } from './maps.js';

const EPSILON = 1e-2;
const UNSEEN = 2e-3;
const NEGLIGIBLE = 1e-6;                    // of a map of sum 1: all such cells together cannot change a score

/**
 * @param {{values: Float32Array, rows: number, columns: number}[]} witnesses - the detector's maps of shoulders and hips
 * @param {{values: Float32Array, rows: number, columns: number}[]} priors - each of a witness given the torso
 * @returns {[number, number]} (x, y), pixels of the frame
 */
export function inferTorso(witnesses, priors, stride) {
  const best = peakCell(scores(witnesses, priors));
  const points = witnesses.map((map, i) => peakPoint(seenFrom(best, map, priors[i]), stride));
  return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}

function scores(witnesses, priors) {
  const [{ rows, columns }] = witnesses;
  const total = new Float64Array(rows * columns);
  witnesses.forEach((map, i) => {
    const message = messageToTorso(map, priors[i]);
    for (let cell = 0; cell < total.length; cell++) total[cell] += Math.log(message[cell] + EPSILON);
  });
  return { values: total, rows, columns };
}

/** What a joint's map says about the torso: a correlation of map and prior. */
function messageToTorso({ values, rows, columns }, prior) {
  const message = new Float64Array(rows * columns);
  values.forEach((value, from) => {
    if (value < NEGLIGIBLE) return;
    const row = Math.floor(from / columns) + prior.rows / 2;
    const column = (from % columns) + prior.columns / 2;
    for (let r = 0; r < rows; r++) {
      const line = (row - r) * prior.columns + column;
      for (let c = 0; c < columns; c++) message[r * columns + c] += value * prior.values[line - c];
    }
  });
  return message;
}

/** A joint's map times its prior around a torso in one cell. */
function seenFrom(torso, { values, rows, columns }, prior) {
  const top = prior.rows / 2 - torso.row;
  const left = prior.columns / 2 - torso.column;
  const seen = values.map((value, cell) => {
    const row = Math.floor(cell / columns);
    return (value + UNSEEN) * prior.values[(row + top) * prior.columns + (cell % columns) + left];
  });
  return { values: seen, rows, columns };
}
