/**
 * The spatial model's priors: of every (joint, sender) a map of displacements, relative to the most likely one.
 *
 * Stored as one byte a cell, the logarithm between `floor` and 1, differences along the rows, deflated: 2 % exact.
 */
import { inflate } from './download.js';

export class Priors {
  /**
   * @param {Uint8Array} codes - [pairs, rows, columns]
   * @param {{pairs: [number, number][], rows: number, columns: number, floor: number}} layout
   */
  constructor(codes, layout) {
    this.codes = codes;
    this.layout = layout;
    this.values = Float32Array.from({ length: 256 }, (_, code) => layout.floor ** (1 - code / 255));
  }

  /** @param {ArrayBuffer} stored */
  static async unpack(stored, layout) {
    const codes = await inflate(stored);
    const { columns } = layout;
    for (let start = 0; start < codes.length; start += columns) {
      for (let cell = start + 1; cell < start + columns; cell++) codes[cell] += codes[cell - 1];     // modulo 256
    }
    return new Priors(codes, layout);
  }

  /** The map of joint's displacements from sender; zero displacement is the cell (rows / 2, columns / 2). */
  of(joint, sender) {
    const { pairs, rows, columns } = this.layout;
    const pair = pairs.findIndex(([first, second]) => first === joint && second === sender);
    const codes = this.codes.subarray(pair * rows * columns, (pair + 1) * rows * columns);
    return { values: Float32Array.from(codes, (code) => this.values[code]), rows, columns };
  }
}
