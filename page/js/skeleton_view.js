/** The picture with a skeleton; a click, or the keyboard, chooses the target person's torso. */
import { cross } from './map_view.js';
import { hideReadout, say, showReadout } from './readout.js';

const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 8;                             // pixels of the frame; with the shift key five times as far
const LIMB = 6;                             // pixels of the frame
const WEAK = 0.3;                           // score below which a joint is drawn as a ring

export class SkeletonView {
  #canvas;
  #context;
  #layout;
  #shown = null;
  #point = null;                            // the keyboard's torso point, not yet taken

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{limbs: [number, number][], colours: string[], limbColours: string[], titles: string[]}} layout
   * @param {(torso: [number, number]) => void} onTorso
   */
  constructor(canvas, layout, onTorso) {
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d');
    this.#layout = layout;
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-roledescription', 'picture, arrow keys move the torso point, Enter takes it');
    canvas.addEventListener('click', (event) => this.#shown && onTorso(this.#at(event)));
    canvas.addEventListener('pointermove', (event) => this.#hover(event));
    canvas.addEventListener('pointerleave', hideReadout);
    canvas.addEventListener('blur', () => this.#movePoint(null));
    canvas.addEventListener('keydown', (event) => this.#press(event, onTorso));
  }

  /**
   * @param {object} shown
   * @param {CanvasImageSource} shown.picture
   * @param {[number, number][]} shown.joints - pixels of the frame
   * @param {number[]} shown.scores
   * @param {[number, number]} shown.torso
   * @param {string} shown.label
   */
  show(shown) {
    this.#shown = shown;
    this.#canvas.setAttribute('aria-label', shown.label);
    this.#canvas.dataset.shown = String(Number(this.#canvas.dataset.shown ?? 0) + 1);     // how often, for the tests
    this.#draw();
  }

  #draw() {
    const { picture, joints, scores, torso } = this.#shown;
    const { limbs, colours, limbColours } = this.#layout;
    const context = this.#context;
    context.drawImage(picture, 0, 0, this.#canvas.width, this.#canvas.height);
    context.lineCap = 'round';
    const ends = [...joints, torso];                       // limbs name the torso as the tenth joint
    limbs.forEach(([first, last], i) => {
      for (const [colour, width] of [['#16161daa', LIMB + 3], [limbColours[i], LIMB]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.beginPath();
        context.moveTo(...ends[first]);
        context.lineTo(...ends[last]);
        context.stroke();
      }
    });
    joints.forEach(([x, y], i) => {
      context.beginPath();
      context.arc(x, y, LIMB, 0, 2 * Math.PI);
      context.lineWidth = 2;
      context.strokeStyle = '#16161d';
      context.fillStyle = scores[i] < WEAK ? '#16161d88' : colours[i];
      context.fill();
      context.stroke();
    });
    cross(context, ...torso, 12);
    if (this.#point) cross(context, ...this.#point, 20);
  }

  #at(event) {
    const box = this.#canvas.getBoundingClientRect();
    const { width, height } = this.#canvas;
    return this.#inside([
      ((event.clientX - box.left) / box.width) * width,
      ((event.clientY - box.top) / box.height) * height,
    ]);
  }

  #inside([x, y]) {
    const { width, height } = this.#canvas;
    return [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
  }

  #hover(event) {
    if (!this.#shown || event.pointerType === 'touch') return;
    const [x, y] = this.#at(event);
    const distances = this.#shown.joints.map(([jointX, jointY]) => Math.hypot(jointX - x, jointY - y));
    const nearest = distances.indexOf(Math.min(...distances));
    if (distances[nearest] > 2 * LIMB) {
      hideReadout();
      return;
    }
    const [jointX, jointY] = this.#shown.joints[nearest].map((value) => value.toFixed(1));
    const score = this.#shown.scores[nearest].toFixed(2);
    showReadout(`${this.#layout.titles[nearest]}: ${jointX}, ${jointY}; score ${score}`, event.clientX, event.clientY);
  }

  #press(event, onTorso) {
    if (!this.#shown) return;
    const move = MOVES[event.key];
    if (move) {
      event.preventDefault();
      const step = event.shiftKey ? 5 * STEP : STEP;
      const [x, y] = this.#point ?? this.#shown.torso;
      this.#movePoint(this.#inside([x + step * move[0], y + step * move[1]]));
      say(`torso point ${this.#point.map(Math.round).join(', ')}`);
    } else if ((event.key === 'Enter' || event.key === ' ') && this.#point) {
      event.preventDefault();
      const torso = this.#point;
      this.#point = null;
      onTorso(torso);
    } else if (event.key === 'Escape') {
      this.#movePoint(null);
    }
  }

  #movePoint(point) {
    this.#point = point;
    if (this.#shown) this.#draw();
  }
}
