// Recognition, away from the page's own thread: LiteRT.js runs the model, and the decoder makes text of it.
//
// reader.js starts it as a blob, which inherits the page's content security policy; a worker of an address of its own
// would have none.

import {Decoder} from "./decoder.js";
import {Language} from "./language.js";

const here = (path) => new URL(path, import.meta.url).href;
let decoder = null;
let run = null;
let milliseconds = 0;
const counts = {frames: 0, decodings: 0};
const queue = [];
let working = false;

self.onmessage = ({data}) => {
  if (data.load) open(data.load);
  else {
    queue.push(data);
    if (!working) work();
  }
};

async function open(info) {
  try {
    run = await load(info);
    decoder = new Decoder(info, outputs, info.window, info.language && (await language(info.language)));
    postMessage({ready: true});
  } catch (error) {
    postMessage({error: String(error?.message ?? error), at: "load"});
  }
}

async function language(info) {
  return new Language(info, await described(info.file, info.sha256));
}

async function load(info) {
  const content = new Uint8Array(await described(info.model, info.model_sha256));
  const litert = await import(here("lib/litert/index.js"));
  const said = []; // LiteRT says a lot; what it said last explains a failure
  self.Module = {locateFile: (file) => here(`lib/litert/${file}`), print: (x) => said.push(x), printErr: (x) => said.push(x)};
  await litert.loadLiteRt(here("lib/litert/litert_wasm_compat_internal.js"));
  const environment = await litert.Environment.create({webGpuDevice: null});
  let model;
  try {
    model = await litert.loadAndCompile(content, {accelerator: "wasm", environment});
  } catch (error) {
    throw new Error(`${error.message} ${said.at(-1) ?? ""}`);
  }
  const shapes = Object.fromEntries(model.getInputDetails().map((each) => [each.name, [...each.shape].join()]));
  if (shapes.landmarks !== [info.window, ...info.frame].join() || shapes.num_frames !== "1") {
    throw new Error(`${info.model} takes ${JSON.stringify(shapes)}`);
  }
  return async (values, count) => {
    const inputs = {
      landmarks: new litert.Tensor(values, [info.window, ...info.frame], environment),
      num_frames: new litert.Tensor(Int32Array.of(count), [1], environment),
    };
    const found = await model.run(inputs);
    const rows = (await found.rows.data())[0];
    const logits = await found.logits.data();
    const width = found.logits.type.layout.dimensions.at(-1);
    const given = Float32Array.from(logits.subarray(0, rows * width));
    for (const each of [...Object.values(inputs), ...Object.values(found)]) each.delete();
    return {values: given, rows};
  };
}

// The content of a file, if it is the one with this SHA-256.
async function described(file, sha256) {
  const answer = await fetch(here(file));
  if (!answer.ok) throw new Error(`${here(file)}: ${answer.status} ${answer.statusText}`);
  const content = await answer.arrayBuffer();
  if (globalThis.crypto?.subtle && hex(await crypto.subtle.digest("SHA-256", content)) !== sha256) {
    throw new Error(`${file} is not the one that model.json beside it describes`);
  }
  return content;
}

const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

// The network's outputs for frames, in the places of the export contract.
async function outputs(frames) {
  const started = performance.now();
  const {frame, window, index} = decoder.task;
  const size = frame.reduce((product, each) => product * each, 1);
  const values = new Float32Array(window * size).fill(NaN);
  frames.forEach((points, number) => index.forEach((place, i) => { values[number * size + place] = points[i]; }));
  const found = await run(values, frames.length);
  milliseconds = performance.now() - started;
  counts.decodings += 1;
  return found;
}

async function work() {
  working = true;
  while (queue.length) {
    const job = queue.shift();
    try {
      for (const [number, frame] of (job.frames ?? []).entries()) {
        counts.frames += 1;
        await decoder.push(frame, number + 1 < job.frames.length || queue.length > 0);
      }
      if (job.finish || job.clear) await decoder.finish();
      if (job.clear) decoder.phrases = [];
    } catch (error) {
      postMessage({error: String(error?.message ?? error), at: "run"});
    }
    const {phrases, shown} = decoder;
    postMessage({state: {phrases, shown, milliseconds, ...counts}, id: job.id, seconds: job.seconds});
  }
  working = false;
}
