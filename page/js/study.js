/** What both networks say about a picture, and the views that show it. */
import { fillChips } from './chips.js';
import { MapView } from './map_view.js';
import { brightest, channelOf, score } from './maps.js';
import { showMessage } from './message.js';
import { MessagesView } from './messages_view.js';
import { digits } from './readout.js';
import { SkeletonView } from './skeleton_view.js';
import { inferTorso } from './torso.js';

const ALL = 'all';
const BACKDROP = 0.5;                       // brightness of the picture under a map
const byId = (id) => document.getElementById(id);

/** A picture's study: its maps and joints, and the views that show them. */
export class Study {
  #model;
  #network;
  #priors;
  #views;
  #joint = ALL;
  #busy = Promise.resolve();
  #picture = null;                          // {frame, canvas, backdrop}
  #detection = null;                        // {maps: [map], joints}
  #answer = null;                           // {maps: [map], joints, messages}
  #torso = null;
  #chosen = false;                          // whether a person chose the torso

  constructor(model, network, priors) {
    this.#model = model;
    this.#network = network;
    this.#priors = priors;
    this.#views = {
      detector: new MapView(byId('detector-map'), this.#describe('detector')),
      jointModel: new MapView(byId('joint-map'), this.#describe('joint model')),
      skeleton: new SkeletonView(byId('skeleton'), layoutOf(model), (torso) => this.chooseTorso(torso)),
      messages: new MessagesView(model, priors.learned),
    };
    const choices = model.joints.map((joint, i) => ({ value: String(i), title: joint.title }));
    fillChips(byId('panel-joint'), [{ value: ALL, title: 'all' }, ...choices], ALL, (value) => this.#choose(value));
    byId('answer-of').addEventListener('change', () => this.#showSkeleton());
    byId('find-torso').addEventListener('click', () => this.chooseTorso(null));
  }

  /** Both networks on a new frame; the torso stays if it was chosen and `keepTorso` says so. */
  showFrame(frame, { keepTorso = false } = {}) {
    return this.#oneAfterTheOther(async () => {
      const started = performance.now();
      const found = await this.#network.detect(frame);
      const size = { ...this.#model.map, channels: this.#model.joints.length };
      this.#picture = picturesOf(frame);
      this.#detection = { maps: this.#split(found.maps, size), joints: pairs(found.joints) };
      const detected = performance.now();
      this.#chosen &&= keepTorso;
      if (!this.#chosen) this.#torso = this.#findTorso();
      await this.#infer();
      const all = performance.now() - started;
      byId('timing').textContent = `This frame took ${seconds(all)}: detector ${seconds(detected - started)}, ` +
        `torso and joint model ${seconds(all - detected + started)}.`;
    });
  }

  /** The joint model for another target person; null: for the clearest. */
  chooseTorso(torso) {
    if (!this.#picture) return Promise.resolve(false);
    return this.#oneAfterTheOther(async () => {
      const started = performance.now();
      this.#chosen = torso !== null;
      this.#torso = torso ?? this.#findTorso();
      await this.#infer();
      byId('timing').textContent = `The joint model took ${seconds(performance.now() - started)}.`;
    });
  }

  async #infer() {
    const found = await this.#network.infer(this.#torso);
    const size = { ...this.#model.map, channels: this.#model.joints.length };
    this.#answer = { maps: this.#split(found.maps, size), joints: pairs(found.joints), messages: found.messages };
    this.#showMaps();
    this.#showSkeleton();
    this.#showTable();
    this.#views.messages.show({ messages: found.messages, backdrop: this.#picture.backdrop });
  }

  /** Two runs at once would mix one frame's maps with another's torso.  Returns whether the work succeeded. */
  #oneAfterTheOther(work) {
    byId('study').classList.add('busy');
    this.#busy = this.#busy.then(work).then(() => true, (error) => {
      showMessage(`The networks failed: ${error.message}`, true);
      return false;
    }).finally(() => byId('study').classList.remove('busy'));
    return this.#busy;
  }

  #split(maps, size) {
    return this.#model.joints.map((_, joint) => channelOf(maps, joint, size));
  }

  #findTorso() {
    const { torsoCorners, points, map } = this.#model;
    const witnesses = torsoCorners.map((joint) => this.#detection.maps[joint]);
    const priors = torsoCorners.map((joint) => this.#priors.learned.of(joint, points.length - 1));
    return inferTorso(witnesses, priors, map.stride);
  }

  #choose(joint) {
    this.#joint = joint;
    if (joint !== ALL) this.#views.messages.chooseJoint(Number(joint));
    this.#showMaps();
  }

  #showMaps() {
    if (!this.#answer) return;
    const title = this.#joint === ALL ? 'all joints' : this.#model.joints[this.#joint].title;
    const shown = (maps) => (this.#joint === ALL ? brightest(maps) : maps[this.#joint]);
    const { backdrop } = this.#picture;
    this.#views.detector.show(shown(this.#detection.maps), { backdrop, label: `detector’s map, ${title}` });
    this.#views.jointModel.show(shown(this.#answer.maps), { backdrop, label: `joint map, ${title}` });
  }

  #showSkeleton() {
    if (!this.#answer) return;
    const detectorAlone = document.querySelector('#answer-of input:checked').value === 'detector';
    const { joints, maps } = detectorAlone ? this.#detection : this.#answer;
    const name = detectorAlone ? 'detector alone' : 'joint model';
    this.#views.skeleton.show({
      picture: this.#picture.canvas,
      joints,
      scores: maps.map(score),
      torso: this.#torso,
      label: `skeleton of the ${name}, torso at ${this.#torso.map(Math.round).join(', ')}`,
    });
  }

  #showTable() {
    const rows = this.#model.joints.map(({ title }, joint) => {
      const row = document.createElement('tr');
      const header = Object.assign(document.createElement('th'), { scope: 'row', textContent: title });
      const cells = [this.#detection, this.#answer].flatMap(({ joints, maps }) => [
        joints[joint].map((value) => value.toFixed(2)).join(', '), score(maps[joint]).toFixed(2)]);
      row.append(header, ...cells.map((textContent) => Object.assign(document.createElement('td'), { textContent })));
      return row;
    });
    document.querySelector('#joints tbody').replaceChildren(...rows);
  }

  #describe(name) {
    const { stride } = this.#model.map;
    return ({ row, column }, value) => {
      const place = `row ${row}, column ${column} (pixel ${column * stride}, ${row * stride})`;
      return `${name}, ${place}: ${digits(value)}${this.#joint === ALL ? ' of the peak' : ''}`;
    };
  }
}

function layoutOf({ joints, limbs }) {
  return {
    limbs: limbs.map(({ ends }) => ends),
    limbColours: limbs.map(({ colour }) => colour),
    colours: joints.map(({ colour }) => colour),
    titles: joints.map(({ title }) => title),
  };
}

/** The frame as a canvas, and a grey, dark copy for maps to lie over. */
function picturesOf(frame) {
  const canvas = new OffscreenCanvas(frame.width, frame.height);
  canvas.getContext('2d').putImageData(frame, 0, 0);
  const grey = new ImageData(frame.width, frame.height);
  for (let i = 0; i < frame.data.length; i += 4) {
    const light = BACKDROP * (0.3 * frame.data[i] + 0.59 * frame.data[i + 1] + 0.11 * frame.data[i + 2]);
    grey.data.set([light, light, light, 255], i);
  }
  const backdrop = new OffscreenCanvas(frame.width, frame.height);
  backdrop.getContext('2d').putImageData(grey, 0, 0);
  return { canvas, backdrop };
}

function pairs(flat) {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]);
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
