/** A canvas that shows a map, cell by cell, and tells the cell and value under the pointer or the keyboard's cursor. */
import { colourOf } from './colours.js';
import { largestOf, peakCell } from './maps.js';
import { hideReadout, say, showReadout } from './readout.js';

const OPACITY = 0.9;                        // of a map's peak over the picture
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

export class MapView {
  #canvas;
  #context;
  #describe;
  #map = null;
  #options = {};
  #cursor = null;                           // {row, column}

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(cell: {row: number, column: number}, value: number) => string} describe
   */
  constructor(canvas, describe) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
    this.#describe = describe;
    canvas.classList.add('cells');
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-roledescription', 'heat map, arrow keys read its cells');
    canvas.addEventListener('pointermove', (event) => this.#point(event));
    canvas.addEventListener('pointerdown', (event) => this.#point(event));
    canvas.addEventListener('pointerleave', (event) => {
      if (event.pointerType !== 'touch') this.#leave();       // a tap's value stays until the next tap
    });
    canvas.addEventListener('focus', () => canvas.matches(':focus-visible') && this.#start());
    canvas.addEventListener('blur', () => this.#leave());
    canvas.addEventListener('keydown', (event) => this.#press(event));
  }

  /**
   * @param {{values: ArrayLike<number>, rows: number, columns: number}} map
   * @param {object} [options]
   * @param {string} [options.label] - for screen readers
   * @param {CanvasImageSource} [options.backdrop] - what the map lies over
   * @param {[number, number]} [options.origin] - (column, row) of a white cross, in cells
   * @param {number} [options.floor] - if given, colours go by the logarithm, from this share of the peak
   */
  show(map, options = {}) {
    this.#map = map;
    this.#options = options;
    if (options.label) this.#canvas.setAttribute('aria-label', options.label);
    this.#draw();
  }

  /** Whether a map is shown, and what. */
  get map() {
    return this.#map;
  }

  #draw() {
    const { width, height } = this.#canvas;
    const { backdrop, origin } = this.#options;
    this.#context.imageSmoothingEnabled = false;
    this.#context.clearRect(0, 0, width, height);
    if (backdrop) this.#context.drawImage(backdrop, 0, 0, width, height);
    this.#context.drawImage(this.#cells(), 0, 0, width, height);
    const { columns, rows } = this.#map;
    const [cellWidth, cellHeight] = [width / columns, height / rows];
    if (origin) cross(this.#context, (origin[0] + 0.5) * cellWidth, (origin[1] + 0.5) * cellHeight, width / 36);
    if (this.#cursor) {
      const { row, column } = this.#cursor;
      this.#context.lineWidth = Math.max(1, width / 360);
      this.#context.strokeStyle = '#ffffff';
      this.#context.strokeRect(column * cellWidth, row * cellHeight, cellWidth, cellHeight);
    }
  }

  #cells() {
    const { values, rows, columns } = this.#map;
    const { backdrop, floor } = this.#options;
    const largest = largestOf(values) || 1;
    const image = new ImageData(columns, rows);
    for (let cell = 0; cell < values.length; cell++) {
      const share = floor ? 1 - Math.log(values[cell] / largest) / Math.log(floor) : values[cell] / largest;
      image.data.set(colourOf(share), 4 * cell);
      image.data[4 * cell + 3] = backdrop ? 255 * OPACITY * Math.sqrt(Math.max(0, share)) : 255;
    }
    const canvas = new OffscreenCanvas(columns, rows);
    canvas.getContext('2d').putImageData(image, 0, 0);
    return canvas;
  }

  #point(event) {
    if (!this.#map) return;
    const box = this.#canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * this.#map.columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * this.#map.rows);
    this.#moveTo({ row, column });
    showReadout(this.#text(), event.clientX, event.clientY);
  }

  #start() {
    if (!this.#map) return;
    this.#moveTo(peakCell(this.#map));
    this.#speak();
  }

  #press(event) {
    const move = MOVES[event.key];
    if (!move || !this.#map) return;
    event.preventDefault();
    const { row, column } = this.#cursor ?? peakCell(this.#map);
    const step = event.shiftKey ? 5 : 1;
    this.#moveTo({ row: row + step * move[0], column: column + step * move[1] });
    this.#speak();
  }

  #speak() {
    const box = this.#canvas.getBoundingClientRect();
    const { row, column } = this.#cursor;
    const x = box.left + (column / this.#map.columns) * box.width;
    const y = box.top + (row / this.#map.rows) * box.height;
    showReadout(this.#text(), x, y);
    say(this.#text());
  }

  #moveTo({ row, column }) {
    const { rows, columns } = this.#map;
    this.#cursor = { row: clamp(row, rows), column: clamp(column, columns) };
    this.#draw();
  }

  #text() {
    const { row, column } = this.#cursor;
    return this.#describe(this.#cursor, this.#map.values[row * this.#map.columns + column]);
  }

  #leave() {
    this.#cursor = null;
    hideReadout();
    if (this.#map) this.#draw();
  }
}

function clamp(index, length) {
  return Math.max(0, Math.min(length - 1, index));
}

/** A white cross with a dark rim. */
export function cross(context, x, y, radius) {
  for (const [colour, width] of [['#16161d', radius / 2], ['#ffffff', radius / 5]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(x - radius, y);
    context.lineTo(x + radius, y);
    context.moveTo(x, y - radius);
    context.lineTo(x, y + radius);
    context.stroke();
  }
}
