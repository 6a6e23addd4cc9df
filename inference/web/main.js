// The page: wires a source of pictures to the tracker, its points to the reader, and what that reads to the eye.

import {handsSeen} from "./decoder.js";
import {Skeleton} from "./draw.js";
import {Pace, placeOf, pointsOf} from "./points.js";
import {Reader} from "./reader.js";
import {Camera, Landmarks, Trouble, VideoFile} from "./sources.js";
import {Tracker, webglIsThere} from "./tracker.js";

const element = (id) => document.getElementById(id);
const [stage, video, canvas, notice] = ["stage", "video", "skeleton", "notice"].map(element);
const UNSEEN = 1.5; // seconds without a hand until that is said
const DARK = 40; // of 255: mean brightness below which a hand is not found

let turn = 0; // of what was started
let decoded = 0; // decodings so far
let info, reader, tracker, skeleton, source, pace, places;
let lastHand = 0;
const times = []; // when pictures were taken, of the last second
const delays = [];

// Bytes of a module with one SIMD instruction.
const SIMD = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
);

async function begin() {
  say("Loading …");
  if (!globalThis.WebAssembly?.validate(SIMD)) {
    throw new Trouble("This browser has no WebAssembly SIMD, which reading needs. Take a newer one.");
  }
  info = await described();
  document.title = info.title;
  element("title").textContent = info.title;
  places = info.points.map(placeOf);
  pace = new Pace(info.rate);
  skeleton = new Skeleton(canvas, info.points);
  reader = await Reader.open(info, {changed: show, failed: fail}).catch((error) => {
    throw new Trouble(`The model cannot be used: ${error.message}. Make the page again with inference.page.`);
  });
  const recording = new URLSearchParams(location.search).get("landmarks");
  if (recording) {
    element("start").textContent = "Play the recording";
    element("file").hidden = true;
  } else {
    if (!webglIsThere()) throw new Trouble("This browser has no WebGL, which finding hands needs. Turn on its graphics acceleration.");
    tracker = await Tracker.open();
  }
  element("start").disabled = element("file").disabled = false;
  element("start").onclick = () => (source ? stop() : start(recording ? new Landmarks(recording) : new Camera(video)));
  element("file").onclick = () => element("chosen").click();
  element("chosen").onchange = ({target}) => {
    if (target.files.length) start(new VideoFile(video, target.files[0]));
    target.value = "";
  };
  say(recording ? "Ready." : "Ready. Start the camera, and hold a hand before it.");
  document.body.dataset.ready = String(Math.round(performance.now()));
}

// What model.json says, if this page can do it.
async function described() {
  let found;
  try {
    found = await (await fetch("model.json")).json();
  } catch (error) {
    throw new Trouble("model.json is not there, or is none. Make the page again with inference.page.");
  }
  if (found.page !== 1) throw new Trouble("model.json is of another program or version. Make the page again with inference.page.");
  const foreign = found.points.filter((name) => !placeOf(name));
  if (foreign.length) throw new Trouble(`This model reads ${foreign[0]}, which no camera shows: it is of another task.`);
  return found;
}

async function start(chosen) {
  turn += 1;
  const mine = turn;
  await stop();
  if (mine !== turn) return; // another was started meanwhile
  source = chosen;
  element("start").textContent = "Stop";
  try {
    say("Starting …");
    await chosen.open();
    if (source !== chosen) return chosen.stop();
    stage.className = `live ${chosen.mirrored ? "mirrored" : ""}`;
    document.body.classList.add("reading");
    canvas.width = chosen.width ?? video.videoWidth;
    canvas.height = chosen.height ?? video.videoHeight;
    pace.reset();
    tracker?.reset();
    lastHand = performance.now();
    say("Looking for a hand …");
    await chosen.run((picture) => take(picture, chosen));
    if (source === chosen) await stop("Finished.");
  } catch (error) {
    if (source !== chosen) return; // it was stopped before it began
    await stop();
    warn(error instanceof Trouble ? error.message : `Something failed: ${error.message}`);
  }
}

function fail(message) {
  const said = `Reading failed: ${message}. Make the page again with inference.page.`;
  warn(said);
  stop(said, warn);
}

async function stop(said = "Stopped.", tellIt = say) {
  const stopped = source;
  if (!stopped) return;
  source = null;
  stopped.stop();
  skeleton.clear();
  stage.className = "";
  document.body.classList.remove("reading");
  element("start").textContent = stopped instanceof Landmarks ? "Play the recording" : "Start camera";
  times.length = delays.length = 0;
  for (const id of ["rate", "latency", "decoding", "hands"]) element(id).textContent = "–";
  element("start").disabled = true; // a second click would start anew
  await reader.finish();
  element("start").disabled = false;
  tellIt(said);
}

// One picture: tracked if it is one, drawn, and read. Ends before it is read: frames wait in the worker.
async function take({seconds, image, frame, ended}, from) {
  if (ended) {
    pace.reset();
    await reader.finish();
    return;
  }
  const taken = performance.now();
  const points = frame ?? pointsOf((await tracker.track(image)) ?? {}, places);
  if (source !== from) return;
  skeleton.draw(points);
  const seen = handsSeen(points, info.wrists);
  hint(seen, image, points);
  const frames = frame ? [frame] : pace.push(seconds, points);
  if (frames.length) reader.push(frames, taken);
  times.push(taken);
  while (times[0] < taken - 1000) times.shift();
  element("rate").textContent = String(times.length);
  const names = ["right", "left"].filter((_, i) => seen[i]);
  element("hands").textContent = names.join(", ") || "none";
}

function hint(seen, image, points) {
  const now = performance.now();
  if (seen.some(Boolean)) {
    lastHand = now;
    say("Reading.");
  } else if (now - lastHand > 1000 * UNSEEN) {
    if (source.silent) warn("The camera gives no picture: another program uses it, or it is switched off.");
    else if (image && brightness(image) < DARK) warn("It is too dark to see a hand. Turn on a light.");
    else if (points.every(Number.isNaN)) warn("Nobody is in the picture.");
    else warn("No hand is in the picture.");
  }
}

const small = Object.assign(document.createElement("canvas"), {width: 32, height: 24});

function brightness(image) {
  const context = small.getContext("2d", {willReadFrequently: true});
  context.drawImage(image, 0, 0, small.width, small.height);
  const {data} = context.getImageData(0, 0, small.width, small.height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += 0.3 * data[i] + 0.6 * data[i + 1] + 0.1 * data[i + 2];
  return (4 * sum) / data.length;
}

// What the reader knows: phrases that ended are appended once, the one that goes on changes.
function show(state, taken) {
  const list = element("phrases");
  const claimed = state.phrases.filter((each) => each.claimed);
  for (const each of claimed.slice(list.children.length)) {
    const item = document.createElement("li");
    item.textContent = each.text;
    if (info.filler === null) item.append(share(each.confidence));
    list.append(item);
  }
  while (list.children.length > claimed.length) list.lastChild.remove();
  element("settled").textContent = state.shown.settled;
  element("tentative").textContent = state.shown.tentative;
  if (info.filler === null && state.shown.tentative) element("tentative").append(share(state.shown.confidence));
  element("text").scrollTop = element("text").scrollHeight;
  element("decoding").textContent = `${Math.round(state.milliseconds)} ms`;
  if (taken && state.decodings !== decoded) { // of the newest picture that was decoded
    decoded = state.decodings;
    delays.push(performance.now() - taken);
    if (delays.length > 30) delays.shift();
    const mean = delays.reduce((sum, each) => sum + each, 0) / delays.length;
    element("latency").textContent = `${Math.round(mean)} ms`;
  }
}

function share(confidence) {
  const span = document.createElement("span");
  span.className = "share";
  span.textContent = ` ${Math.round(100 * confidence)} %`;
  return span;
}

function say(text) {
  tell(text, "");
}

function warn(text) {
  tell(text, "warn");
}

// Only where it changes: screen readers read it out.
function tell(text, kind) {
  notice.className = kind;
  if (notice.textContent !== text) notice.textContent = text;
}

element("clear").onclick = () => reader?.clear();
element("copy").onclick = async () => {
  const lines = [...element("phrases").children].map((each) => each.firstChild.textContent);
  const now = element("settled").textContent + (element("tentative").firstChild?.textContent ?? "");
  try {
    await navigator.clipboard.writeText([...lines, now].filter(Boolean).join("\n"));
    say("Copied.");
  } catch {
    warn("The browser does not let this page copy. Select the text instead.");
  }
};

begin().catch((error) => warn(error instanceof Trouble ? error.message : `The page did not start: ${error.message}`));
