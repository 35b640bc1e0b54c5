/** Starts the page. */
import { Camera } from './camera.js';
import { loadEverything } from './loading.js';
import { showMessage } from './message.js';
import { PriorsView } from './priors_view.js';
import { fetchSample, takePictures, useCamera } from './sources.js';
import { Study } from './study.js';
import { lacking } from './support.js';

const byId = (id) => document.getElementById(id);

async function main() {
  const lack = lacking();
  if (lack) {
    byId('loading').hidden = true;
    showMessage(lack, true);
    return;
  }
  try {
    const { model, network, priors } = await loadEverything();
    const study = new Study(model, network, priors);
    const camera = new Camera(byId('video'));
    const take = takePictures(study, model, camera);
    useCamera(study, model, camera);
    new PriorsView(model, priors.start, priors.learned);
    byId('loading').hidden = true;
    await take(await fetchSample(model.samples[0].file));
    document.documentElement.dataset.ready = 'true';
  } catch (error) {
    byId('loading').hidden = true;
    showMessage(`The page could not start: ${error.message}`, true);
  }
}

main();
