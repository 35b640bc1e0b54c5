/** Downloads several files with one progress bar. */

/**
 * @param {{path: string, bytes: number}[]} files - with their sizes, which no server has to tell.
 * @param {(share: number) => void} onProgress - 0 to 1, over all files together.
 * @returns {Promise<ArrayBuffer[]>} in the order of `files`.
 */
export async function downloadAll(files, onProgress) {
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  let loaded = 0;
  const onBytes = (bytes) => {
    loaded += bytes;
    onProgress(Math.min(1, loaded / total));
  };
  return Promise.all(files.map((file) => download(file.path, onBytes)));
}

/** The bytes of one file; an Error names the file. */
async function download(path, onBytes) {
  const response = await fetch(path).catch((error) => {
    throw new Error(`${path} could not be loaded: ${error.message}`);
  });
  if (!response.ok) throw new Error(`${path} could not be loaded: the server says ${response.status}`);
  const counter = new TransformStream({
    transform(chunk, controller) {
      onBytes(chunk.byteLength);
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter)).arrayBuffer();
}

/** Inflates zlib data. */
export async function inflate(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
