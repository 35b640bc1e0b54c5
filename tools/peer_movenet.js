// MoveNet on crops, a side of peers.py, in TensorFlow.js on WebAssembly.
//
//     node peer_movenet.js NODE_FOLDER MODEL.json < crops > answers
//
// NODE_FOLDER has the node_modules.  A crop is 192 x 192 x 3 bytes, RGB.  For each one, 51 float32 are written: y, x (in
// sizes of the crop) and score of COCO's 17 key points; then a float32, the processor seconds that this took.
'use strict';
const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

const [folder, modelPath] = process.argv.slice(2);
const own = createRequire(path.resolve(folder, 'package.json'));
const tf = own('@tensorflow/tfjs-core');
const { loadGraphModel } = own('@tensorflow/tfjs-converter');
const wasm = own('@tensorflow/tfjs-backend-wasm');
const SIZE = 192;

/** The graph model of a .json and the files of weights beside it. */
function load(file) {
  const { modelTopology, weightsManifest } = JSON.parse(fs.readFileSync(file, 'utf8'));
  const weightSpecs = weightsManifest.flatMap((group) => group.weights);
  const paths = weightsManifest.flatMap((group) => group.paths);
  const bytes = Buffer.concat(paths.map((name) => fs.readFileSync(path.join(path.dirname(file), name))));
  const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  return loadGraphModel({ load: async () => ({ modelTopology, weightSpecs, weightData }) });
}

/** Fills a buffer from standard input; false at its end. */
function read(buffer) {
  for (let at = 0; at < buffer.length;) {
    const n = fs.readSync(0, buffer, at, buffer.length - at, null);
    if (n === 0) return false;
    at += n;
  }
  return true;
}

function write(values) {
  const buffer = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  for (let at = 0; at < buffer.length;) at += fs.writeSync(1, buffer, at);
}

/** Processor seconds of all threads so far. */
function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function predict(model, crop) {
  return tf.tidy(() => model.execute(tf.tensor(crop, [1, SIZE, SIZE, 3], 'int32')).dataSync());
}

async function main() {
  wasm.setWasmPaths(path.join(path.dirname(own.resolve('@tensorflow/tfjs-backend-wasm')), path.sep));
  await tf.setBackend('wasm');
  const model = await load(modelPath);
  const crop = Buffer.alloc(SIZE * SIZE * 3);
  predict(model, Int32Array.from(crop));                      // the first call prepares the weights: not counted
  while (read(crop)) {
    const began = cpuSeconds();
    const found = predict(model, Int32Array.from(crop));
    write(Float32Array.from([...found, cpuSeconds() - began]));
  }
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
