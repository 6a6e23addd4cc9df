// Feeds the page's decoder what stdin says, and prints what it shows after each frame: see test_decoder.py.

import {readFileSync} from "node:fs";

const [folder] = process.argv.slice(2);
const {Decoder} = await import(`${folder}/decoder.js`);
const {Language} = await import(`${folder}/language.js`);
const {task, window, width, clips, language} = JSON.parse(readFileSync(0, "utf8"));
const spelling = language && new Language(language, Uint8Array.from(Buffer.from(language.content, "base64")).buffer);

// The network of the test: the first numbers of a frame are its logits; of one class a clip, their mean.
async function outputs(frames) {
  const rows = task.filler === null ? 1 : frames.length;
  const values = new Float32Array(rows * width);
  frames.forEach((frame, number) => {
    for (let i = 0; i < width; i += 1) {
      values[(rows === 1 ? 0 : number * width) + i] += task.filler === null ? frame[i] / frames.length : frame[i];
    }
  });
  return {values, rows};
}

const said = [];
for (const clip of clips) {
  const decoder = new Decoder(task, outputs, window, spelling);
  const steps = [];
  for (const frame of clip) {
    await decoder.push(Float32Array.from(frame, (value) => value ?? NaN));
    steps.push({...decoder.shown, phrases: decoder.phrases.length});
  }
  await decoder.finish();
  said.push({steps, phrases: decoder.phrases});
}
console.log(JSON.stringify(said));
