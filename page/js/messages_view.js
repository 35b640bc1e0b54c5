/** What a joint hears: a tile a sender, and the product of the first few. */
import { fillChips } from './chips.js';
import { MapView } from './map_view.js';
import { mapOf, peakPoint, product, score } from './maps.js';
import { digits } from './readout.js';

const OWN = 'own map';
const TILE = { width: 270, height: 180 };   // pixels of a tile's canvas

export class MessagesView {
  #model;
  #priors;
  #tiles = [];
  #joint = 0;
  #answer = null;                           // {messages, backdrop}
  #slider = document.getElementById('senders');
  #count = document.getElementById('senders-count');
  #product;

  /**
   * @param {object} model - model.json
   * @param {import('./priors.js').Priors} priors - the learned ones
   */
  constructor(model, priors) {
    this.#model = model;
    this.#priors = priors;
    const joints = model.joints.map((joint, i) => ({ value: String(i), title: joint.title }));
    fillChips(document.getElementById('message-joint'), joints, '0', (value) => this.chooseJoint(Number(value)));
    this.#product = new MapView(document.getElementById('product'), this.#place('joint map'));
    this.#slider.addEventListener('input', () => this.#showProduct());
  }

  chooseJoint(joint) {
    this.#joint = joint;
    document.querySelector(`#message-joint input[value="${joint}"]`).checked = true;
    this.#buildTiles();
    this.#update();
  }

  /** @param {{messages: Float32Array, backdrop: CanvasImageSource}} answer */
  show(answer) {
    this.#answer = answer;
    if (this.#tiles.length === 0) this.#buildTiles();
    this.#update();
  }

  /** The factors of the joint's map: its own, then a message a sender. */
  #factors() {
    const { rows, columns } = this.#model.map;
    const senders = this.#model.points.length;
    return [this.#joint, ...this.#senders()].map((sender) => (
      mapOf(this.#answer.messages, this.#joint * senders + sender, { rows, columns })));
  }

  #senders() {
    return this.#model.points.map((_, i) => i).filter((i) => i !== this.#joint);
  }

  #buildTiles() {
    const list = document.getElementById('tiles');
    const own = tile(OWN);
    const ownMap = new MapView(own.canvas('map'), this.#place(OWN));
    const { rows, columns } = this.#model.prior;
    list.replaceChildren(own.item);
    this.#tiles = [{ item: own.item, message: ownMap }];
    for (const sender of this.#senders()) {
      const title = this.#model.points[sender].title;
      const { item, canvas } = tile(`from ${title}`);
      const prior = new MapView(canvas('prior'), describeDisplacement(this.#model.map.stride, { rows, columns }));
      const message = new MapView(canvas('message'), this.#place(`from ${title}`));
      prior.show(this.#priors.of(this.#joint, sender), {
        origin: [columns / 2, rows / 2],
        label: `prior of the ${this.#model.joints[this.#joint].title} given the ${title}`,
      });
      this.#tiles.push({ item, message });
      list.append(item);
    }
  }

  #update() {
    if (!this.#answer) return;
    const joint = this.#model.joints[this.#joint].title;
    this.#factors().forEach((factor, i) => {
      const sender = i === 0 ? `own map of the ${joint}` : `message to the ${joint}, ${this.#title(i)}`;
      this.#tiles[i].message.show(factor, { label: sender });
    });
    this.#showProduct();
  }

  #title(tileIndex) {
    return this.#tiles[tileIndex].item.querySelector('h3').textContent;
  }

  #showProduct() {
    if (!this.#answer) return;
    const n = Number(this.#slider.value);
    const joint = this.#model.joints[this.#joint].title;
    const map = product(this.#factors().slice(0, n + 1));
    const words = n === 0 ? 'own map alone' : `own map × ${n} message${n === 1 ? '' : 's'}, last ${this.#title(n)}`;
    this.#count.textContent = `${n} of 9`;
    document.getElementById('product-title').textContent = `${joint}: ${words}`;
    this.#product.show(map, { backdrop: this.#answer.backdrop, label: `${joint}, ${words}` });
    const [x, y] = peakPoint(map, this.#model.map.stride).map((value) => value.toFixed(1));
    const near = Math.round(100 * score(map));
    document.getElementById('product-text').textContent =
      `Peak at ${x}, ${y}; ${near} % of the map lies within two cells of it.`;
    this.#slider.setAttribute('aria-valuetext', `${words}, peak at ${x}, ${y}`);
    this.#tiles.forEach(({ item }, i) => item.classList.toggle('waiting', i > n));
  }

  #place(title) {
    return ({ row, column }, value) => `${title}, row ${row}, column ${column}: ${digits(value)}`;
  }
}

/** An empty tile; canvas(caption) adds a canvas to it. */
function tile(title) {
  const item = document.createElement('li');
  const heading = document.createElement('h3');
  const pair = document.createElement('div');
  heading.textContent = title;
  pair.className = 'pair';
  item.append(heading, pair);
  const canvas = (caption) => {
    const figure = document.createElement('figure');
    const text = document.createElement('small');
    const element = Object.assign(document.createElement('canvas'), TILE);
    text.textContent = caption;
    figure.append(element, text);
    pair.append(figure);
    return element;
  };
  return { item, canvas };
}

/** Words for a cell of a prior: how far the joint is from the sender. */
export function describeDisplacement(stride, { rows, columns }) {
  return ({ row, column }, value) => {
    const right = (column - columns / 2) * stride;
    const down = (row - rows / 2) * stride;
    const across = `${Math.abs(right)} px ${right < 0 ? 'left' : 'right'}`;
    return `${across}, ${Math.abs(down)} px ${down < 0 ? 'up' : 'down'}: ${value.toPrecision(2)} of the most likely`;
  };
}
