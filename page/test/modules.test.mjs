/** The modules that need no browser: maps, priors, letterbox, what a browser lacks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { brightest, channelOf, mapOf, peakCell, peakPoint, product, score } from '../js/maps.js';
import { letterbox } from '../js/picture.js';
import { Priors } from '../js/priors.js';
import { lacking } from '../js/support.js';
import { inferTorso } from '../js/torso.js';

const ROWS = 12;
const COLUMNS = 16;
const STRIDE = 8;

/** A Gaussian around (x, y) cells, of sum 1. */
function blob(x, y, { rows = ROWS, columns = COLUMNS, sigma = 1.2 } = {}) {
  const values = Float32Array.from({ length: rows * columns }, (_, cell) => {
    const distance = (cell % columns - x) ** 2 + (Math.floor(cell / columns) - y) ** 2;
    return Math.exp(-distance / (2 * sigma ** 2));
  });
  const sum = values.reduce((total, value) => total + value, 0);
  return { values: values.map((value) => value / sum), rows, columns };
}

function assertNear(found, expected, tolerance, message) {
  found.forEach((value, i) => assert.ok(Math.abs(value - expected[i]) <= tolerance, `${message ?? ''}${found}`));
}

test('channels and maps of flat arrays', () => {
  const flat = Float32Array.from({ length: 2 * 3 * 4 }, (_, i) => i);
  assert.deepEqual([...channelOf(flat, 1, { rows: 2, columns: 3, channels: 4 }).values], [1, 5, 9, 13, 17, 21]);
  assert.deepEqual([...mapOf(flat, 2, { rows: 2, columns: 3 }).values], [12, 13, 14, 15, 16, 17]);
});

test('the peak of a Gaussian is exact; at the border it is the centre of the cell', () => {
  assertNear(peakPoint(blob(6.3, 4.8), STRIDE), [(6.3 + 0.5) * STRIDE, (4.8 + 0.5) * STRIDE], 0.01);
  assertNear(peakPoint(blob(0, 11), STRIDE), [4, 11.5 * STRIDE], 1e-6);
});

test('a product of Gaussians peaks between them, and sums to 1 even where factors are tiny', () => {
  const map = product([blob(4, 6), blob(8, 6)]);
  assertNear(peakPoint(map, 1), [6.5, 6.5], 0.01);
  const tiny = { rows: 1, columns: 2, values: Float32Array.of(1e-30, 2e-30) };
  assertNear([...product([tiny, tiny, tiny]).values], [1 / 9, 8 / 9], 1e-6);
});

test('score and brightest', () => {
  assert.ok(score(blob(8, 6, { sigma: 0.5 })) > 0.99);
  const flat = { rows: ROWS, columns: COLUMNS, values: new Float32Array(ROWS * COLUMNS).fill(1) };
  assert.ok(Math.abs(score(flat) - 9 / (ROWS * COLUMNS)) < 1e-6);
  const both = brightest([blob(2, 2), blob(12, 9)]);
  assert.equal(both.values[2 * COLUMNS + 2], 1);
  assert.equal(both.values[9 * COLUMNS + 12], 1);
});

test('the torso is where shoulders and hips agree, even if one of them peaks elsewhere', () => {
  const offsets = [[3, -2], [-3, -2], [2, 2], [-2, 2]];            // of shoulders and hips from the torso, in cells
  const torso = [9, 6];
  const priors = offsets.map(([right, down]) => {
    const map = blob(COLUMNS + right, ROWS + down, { rows: 2 * ROWS, columns: 2 * COLUMNS });
    const largest = Math.max(...map.values);
    return { ...map, values: map.values.map((value) => value / largest) };
  });
  const witnesses = offsets.map(([right, down]) => blob(torso[0] + right, torso[1] + down));
  const elsewhere = blob(2, 9);
  witnesses[0].values = witnesses[0].values.map((value, cell) => 0.3 * value + 0.7 * elsewhere.values[cell]);
  assert.deepEqual(peakCell(witnesses[0]), { row: 9, column: 2 });
  assertNear(inferTorso(witnesses, priors, STRIDE), torso.map((cell) => (cell + 0.5) * STRIDE), 1);
});

test('priors are unpacked', async () => {
  const codes = Uint8Array.from([255, 0, 128, 7, 7, 255]);          // one pair, 2 rows, 3 columns
  const differences = codes.map((code, i) => code - (i % 3 === 0 ? 0 : codes[i - 1]));
  const packed = deflateSync(differences);
  const layout = { pairs: [[0, 1]], rows: 2, columns: 3, floor: 1e-4 };
  const priors = await Priors.unpack(packed, layout);
  assert.deepEqual([...priors.codes], [...codes]);
  const { values } = priors.of(0, 1);
  assertNear([values[0], values[1], values[2]], [1, 1e-4, 1e-4 ** (127 / 255)], 1e-6);
});

test('pictures of any shape lie in the middle of the frame', () => {
  const frame = { width: 720, height: 480 };
  assert.deepEqual(letterbox(720, 480, frame), { left: 0, top: 0, width: 720, height: 480 });
  assert.deepEqual(letterbox(8000, 6000, frame), { left: 40, top: 0, width: 640, height: 480 });
  assert.deepEqual(letterbox(10, 5000, frame), { left: 359, top: 0, width: 1, height: 480 });
});

test('what a browser lacks', () => {
  const { WebAssembly, DecompressionStream } = globalThis;
  const complete = { WebAssembly, DecompressionStream, Worker: class {} };
  assert.equal(lacking(complete), '');
  assert.match(lacking({ ...complete, WebAssembly: undefined }), /no WebAssembly/);
  assert.match(lacking({ ...complete, WebAssembly: { validate: () => false } }), /no SIMD/);
  assert.match(lacking({ ...complete, DecompressionStream: undefined }), /too old/);
});
