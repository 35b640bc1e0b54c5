/** The networks, from the server to ready. */
import { downloadAll } from './download.js';
import { Network } from './network.js';
import { Priors } from './priors.js';

/**
 * Downloads and starts the networks, with the progress bar.
 *
 * @returns {Promise<{model: object, network: Network, priors: {start: Priors, learned: Priors}}>} model: model.json
 */
export async function loadEverything() {
  const bar = document.getElementById('loading-bar');
  const text = document.getElementById('loading-text');
  const response = await fetch('model/model.json');
  if (!response.ok) throw new Error(`model/model.json could not be loaded: the server says ${response.status}`);
  const model = await response.json();
  const megabytes = Math.round(model.files.reduce((sum, file) => sum + file.bytes, 0) / 1e6);
  text.textContent = `Loading the networks, ${megabytes} MB …`;
  const [runtime, detector, spatialModel, start, learned] = await downloadAll(model.files, (share) => {
    bar.value = share;
    bar.textContent = `${Math.round(100 * share)} %`;
  });
  text.textContent = 'Starting the networks …';
  bar.removeAttribute('value');
  const network = new Network();
  await network.load(runtime, detector, spatialModel);
  const priors = {
    start: await Priors.unpack(start, model.prior),
    learned: await Priors.unpack(learned, model.prior),
  };
  return { model, network, priors };
}
