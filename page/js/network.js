/** The page's side of worker.js: the same methods as promises. */

export class Network {
  #worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
  #waiting = new Map();
  #calls = 0;

  constructor() {
    this.#worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      const error = new Error(`the networks stopped: ${event.message ?? 'worker.js could not be loaded'}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
  }

  /** @param {ArrayBuffer} runtime, detectorBytes, spatialModelBytes - handed over, empty here afterwards. */
  load(runtime, detectorBytes, spatialModelBytes) {
    const parameters = { runtime, detectorBytes, spatialModelBytes };
    return this.#call('load', parameters, [runtime, detectorBytes, spatialModelBytes]);
  }

  /**
   * @param {ImageData} frame
   * @returns {Promise<{maps: Float32Array, joints: Float32Array}>} of the part detector.
   */
  detect(frame) {
    return this.#call('detect', { rgba: frame.data, width: frame.width, height: frame.height });
  }

  /**
   * @param {[number, number]} torso - (x, y), pixels of the frame given to `detect` last.
   * @returns {Promise<{messages: Float32Array, maps: Float32Array, joints: Float32Array}>} of the joint model.
   */
  infer(torso) {
    return this.#call('infer', { torso });
  }

  #call(method, parameters, transfer = []) {
    const id = this.#calls++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, method, parameters }, transfer);
    });
  }
}
