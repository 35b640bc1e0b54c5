/** Where pictures come from: files, drops, samples, the camera. */
import { showMessage } from './message.js';
import { PictureError, readPicture } from './picture.js';

const byId = (id) => document.getElementById(id);

/**
 * Connects the file input, drops, pastes and samples.
 *
 * @returns {(file: File) => Promise<void>} takes one more picture
 */
export function takePictures(study, model, camera) {
  const take = async (file) => {
    stopCamera(camera);
    try {
      const { frame, note } = await readPicture(file, model.frame);
      showMessage(note);
      await study.showFrame(frame);
    } catch (error) {
      if (!(error instanceof PictureError)) throw error;
      showMessage(error.message, true);
    }
  };
  byId('file').addEventListener('change', (event) => {
    take(event.target.files[0]);
    event.target.value = '';                // so that the same file can be chosen again
  });
  byId('file').addEventListener('cancel', () => showMessage('No picture was chosen.'));
  acceptDrops(take);
  const samples = model.samples.map(({ file, title }) => sampleButton(file, title, take));
  byId('samples').replaceChildren(...samples);
  return take;
}

function acceptDrops(take) {
  const drop = byId('drop');
  const mark = (event, over) => {
    event.preventDefault();
    drop.classList.toggle('over', over);
  };
  document.addEventListener('dragover', (event) => mark(event, true));
  document.addEventListener('dragleave', (event) => mark(event, false));
  document.addEventListener('drop', (event) => {
    mark(event, false);
    take(event.dataTransfer.files[0]);
  });
  document.addEventListener('paste', (event) => {
    if (event.clipboardData.files.length > 0) take(event.clipboardData.files[0]);
  });
}

function sampleButton(file, title, take) {
  const button = Object.assign(document.createElement('button'), { type: 'button', title });
  const image = Object.assign(document.createElement('img'), { src: file, alt: title, width: 90, height: 60 });
  button.append(image);
  button.addEventListener('click', async () => take(await fetchSample(file)));
  return button;
}

export async function fetchSample(file) {
  const response = await fetch(file);
  return new File([await response.blob()], file.split('/').pop());
}

/** Connects the camera's button. */
export function useCamera(study, model, camera) {
  byId('camera').addEventListener('click', async () => {
    if (camera.running) {
      stopCamera(camera);
      return;
    }
    try {
      await camera.start();
    } catch (error) {
      showMessage(error.message, true);
      return;
    }
    showMessage('The camera’s frames stay in this tab.');
    byId('camera').textContent = 'Stop the camera';
    byId('camera').setAttribute('aria-pressed', 'true');
    while (camera.running) {
      const succeeded = await study.showFrame(camera.grab(model.frame), { keepTorso: true });
      if (!succeeded) stopCamera(camera);
    }
  });
}

function stopCamera(camera) {
  camera.stop();
  byId('camera').textContent = 'Use the camera';
  byId('camera').setAttribute('aria-pressed', 'false');
}
