/** The priors of a pair, at the start and learned. */
import { MapView } from './map_view.js';
import { peakCell } from './maps.js';
import { describeDisplacement } from './messages_view.js';

export class PriorsView {
  #model;
  #shown;                                   // [{priors, view, name}]
  #joint = document.getElementById('prior-joint');
  #sender = document.getElementById('prior-sender');
  #log = document.getElementById('prior-log');

  /**
   * @param {object} model - model.json
   * @param {import('./priors.js').Priors} start
   * @param {import('./priors.js').Priors} learned
   */
  constructor(model, start, learned) {
    this.#model = model;
    const describe = describeDisplacement(model.map.stride, model.prior);
    this.#shown = [['start', start], ['learned', learned]].map(([name, priors]) => (
      { name, priors, view: new MapView(document.getElementById(`prior-${name}`), describe) }));
    fill(this.#joint, model.joints, 4);
    fill(this.#sender, model.points, 3);
    for (const element of [this.#joint, this.#sender, this.#log]) {
      element.addEventListener('change', () => this.#update());
    }
    this.#update();
  }

  #update() {
    const joint = Number(this.#joint.value);
    for (const option of this.#sender.options) option.disabled = Number(option.value) === joint;
    if (Number(this.#sender.value) === joint) this.#sender.value = String(joint === 0 ? 1 : 0);
    const sender = Number(this.#sender.value);
    const { rows, columns, floor } = this.#model.prior;
    const pair = `${this.#model.joints[joint].title} given ${this.#model.points[sender].title}`;
    const peaks = this.#shown.map(({ name, priors, view }) => {
      const map = priors.of(joint, sender);
      view.show(map, {
        origin: [columns / 2, rows / 2],
        floor: this.#log.checked ? floor : undefined,
        label: `prior of ${pair}, ${name}`,
      });
      return this.#peak(map);
    });
    document.getElementById('prior-text').textContent =
      `${pair}. Most likely at the start: ${peaks[0]}; learned: ${peaks[1]}. ` +
      `The picture spans ± ${this.#model.frame.width} by ± ${this.#model.frame.height} pixels around the ` +
      `${this.#model.points[sender].title} (✛).`;
  }

  #peak(map) {
    const text = describeDisplacement(this.#model.map.stride, map)(peakCell(map), 1);
    return text.split(':')[0];
  }
}

function fill(select, points, chosen) {
  points.forEach(({ title }, i) => select.add(new Option(title, String(i), false, i === chosen)));
}
