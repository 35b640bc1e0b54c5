/**
 * Runs both networks away from the page's thread, so that the page never freezes.
 *
 * Messages in: {id, method, parameters}; messages out: {id, result} or {id, error}.
 */
import * as ort from '../vendor/ort.wasm.bundle.min.mjs';

let detector, spatialModel;
let detectorMaps;                           // of the last frame: a click needs the spatial model only

const methods = {
  /** Creates both sessions from the bytes of the runtime and of the networks. */
  async load({ runtime, detectorBytes, spatialModelBytes }) {
    ort.env.wasm.wasmBinary = runtime;
    ort.env.wasm.numThreads = 1;            // more threads take headers that static hosts do not send
    detector = await ort.InferenceSession.create(new Uint8Array(detectorBytes));
    spatialModel = await ort.InferenceSession.create(new Uint8Array(spatialModelBytes));
  },

  /** RGBA bytes of a frame -> the detector's maps [height, width, joints] and joints [joints, 2]. */
  async detect({ rgba, width, height }) {
    const image = new ort.Tensor('uint8', withoutAlpha(rgba), [1, height, width, 3]);
    const found = await detector.run({ image });
    detectorMaps = found.part_detector_maps;
    return { maps: detectorMaps.data, joints: found.part_detector_joints.data };
  },

  /** The last frame's answer for a torso at (x, y) pixels: messages [joints, senders, height, width], maps, joints. */
  async infer({ torso }) {
    const torsoPoint = new ort.Tensor('float32', Float32Array.from(torso), [1, 2]);
    const found = await spatialModel.run({ part_detector_maps: detectorMaps, torso_xy: torsoPoint });
    return { messages: found.messages.data, maps: found.heat_maps.data, joints: found.joints.data };
  },
};

function withoutAlpha(rgba) {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}

self.onmessage = async ({ data: { id, method, parameters } }) => {
  try {
    self.postMessage({ id, result: await methods[method](parameters) });
  } catch (error) {
    self.postMessage({ id, error: String(error.message ?? error) });
  }
};
