// Points of a frame: Float32Array of x and y of each, NaN where it was not seen, as fractions of the unmirrored picture.

const PARTS = {
  face: "faceLandmarks",
  pose: "poseLandmarks",
  left_hand: "leftHandLandmarks",
  right_hand: "rightHandLandmarks",
};

// Where a point of this name ("right_hand_4") stands in what MediaPipe Holistic found; null of any other name.
export function placeOf(name) {
  const [, part, number] = /^(.+)_(\d+)$/.exec(name) ?? [];
  return part in PARTS ? {part: PARTS[part], number: Number(number)} : null;
}

// The points of these places in MediaPipe's results.
export function pointsOf(results, places) {
  const frame = new Float32Array(2 * places.length).fill(NaN);
  places.forEach(({part, number}, i) => {
    const found = results[part]?.[number];
    if (found) frame.set([found.x, found.y], 2 * i);
  });
  return frame;
}

const LONGEST_GAP = 1; // seconds between pictures that are still one movement
const MOST_MISSING = 3; // seconds: they end a phrase, however long nothing came

// Frames at an even rate from pictures that come when they come: models know the pace of their training set alone.
export class Pace {
  constructor(rate) {
    this.rate = rate;
    this.reset();
  }

  reset() {
    this.last = null;
    this.next = null; // the time of the next frame, in seconds
  }

  // The frames up to this picture, in order; seconds rise from call to call.
  push(seconds, frame) {
    const {last, rate} = this;
    if (last && seconds <= last.seconds) return [];
    const frames = [];
    if (!last) {
      this.next = seconds;
    } else if (seconds - last.seconds > LONGEST_GAP) {
      const missing = Math.min(seconds - last.seconds, MOST_MISSING);
      for (let i = 0; i < Math.round(missing * rate); i += 1) frames.push(new Float32Array(frame.length).fill(NaN));
      this.next = seconds;
    }
    const tolerance = 1e-4; // of clocks that count in fractions of milliseconds
    for (; this.next <= seconds + tolerance; this.next += 1 / rate) {
      const share = last ? (this.next - last.seconds) / (seconds - last.seconds) : 1;
      frames.push(share < 1 - tolerance ? between(last.frame, frame, share) : frame);
    }
    this.last = {seconds, frame};
    return frames;
  }
}

// Gaps neither spread nor close: where one is missing, the nearer decides. As training.data.augment.resample.
export function between(before, after, share) {
  const mixed = new Float32Array(before.length);
  for (let i = 0; i < mixed.length; i += 1) {
    mixed[i] = before[i] * (1 - share) + after[i] * share;
    if (Number.isNaN(mixed[i])) mixed[i] = share < 0.5 ? before[i] : after[i];
  }
  return mixed;
}
