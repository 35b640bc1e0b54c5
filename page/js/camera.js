/** The camera's frames, one after the other, as fast as the networks take them. */
import { fit } from './picture.js';

export class Camera {
  #video;
  #stream = null;

  constructor(video) {
    this.#video = video;
  }

  get running() {
    return this.#stream !== null;
  }

  /** Starts it; an Error's message is for people. */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error('The camera needs a page from https or localhost, and this one is from elsewhere.');
    }
    this.#stream = await navigator.mediaDevices
      .getUserMedia({ video: { width: { ideal: 720 }, height: { ideal: 480 } } })
      .catch((error) => {
        throw new Error(`The camera gives no picture: ${error.message || error.name}.`);
      });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** @returns {ImageData} what it shows now, fitted into the frame. */
  grab(frame) {
    return fit(this.#video, this.#video.videoWidth, this.#video.videoHeight, frame);
  }
}
