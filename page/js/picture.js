/** Pictures of any size and kind -> the 720 x 480 frame that the networks take. */

const SMALLEST = 32;                        // pixels of the short side: below, there is no person to see

/** A picture that cannot be used; its message is for people. */
export class PictureError extends Error {}

/**
 * Reads a picture file.
 *
 * @param {File | undefined} file
 * @param {{width: number, height: number}} frame
 * @returns {Promise<{frame: ImageData, note: string}>}
 */
export async function readPicture(file, frame) {
  if (!file) throw new PictureError('There is no picture: choose or drop a file such as a JPEG or PNG.');
  const name = file.name || 'The picture';
  if (file.size === 0) throw new PictureError(`${name} is empty.`);
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new PictureError(`${name} cannot be read as a picture. JPEG, PNG and WebP files can.`);
  });
  try {
    const { width, height } = bitmap;
    if (Math.min(width, height) < SMALLEST) {
      throw new PictureError(`${name} is ${width} × ${height} pixels: too small to show a person. ` +
        `Each side needs at least ${SMALLEST}.`);
    }
    const place = letterbox(width, height, frame);
    const same = place.width === width && place.height === height;
    const note = same ? '' : `${name}: ${width} × ${height} pixels, scaled to ${place.width} × ${place.height}.`;
    return { frame: fit(bitmap, width, height, frame), note };
  } finally {
    bitmap.close();
  }
}

/** Draws an image or a video's frame of the given size into the middle of a black frame. */
export function fit(image, width, height, frame) {
  const place = letterbox(width, height, frame);
  const canvas = new OffscreenCanvas(frame.width, frame.height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.fillRect(0, 0, frame.width, frame.height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, place.left, place.top, place.width, place.height);
  return context.getImageData(0, 0, frame.width, frame.height);
}

/** Where a picture lies in the frame: as large as it goes in, in the middle, on whole pixels. */
export function letterbox(width, height, frame) {
  const scale = Math.min(frame.width / width, frame.height / height);
  const size = { width: Math.max(1, Math.round(scale * width)), height: Math.max(1, Math.round(scale * height)) };
  const left = Math.floor((frame.width - size.width) / 2);
  const top = Math.floor((frame.height - size.height) / 2);
  return { left, top, ...size };
}
