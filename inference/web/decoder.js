// Live decoding: frames come one by one, and text as it is understood.
//
// The same as inference/decoder.py, part for part, where the reasons stand; tests/inference/test_decoder.py feeds both the same.

export const RATE = 30;
export const HOP = 8;
export const LEAD = 90;
export const PHRASE_PAUSE = 90;
export const SIGN_PAUSE = 24;
export const WORD_PAUSE = 75;
export const SETTLED = 15;
export const FLOOR = 0.5;

const NOTHING = Object.freeze({settled: "", tentative: "", confidence: 0});

export class Decoder {
  // task: {classes, filler (null of one class a clip), wrists: their numbers among the points}.
  // language: of language.js, or null.
  // outputs: async (frames) => {values, rows}: logits, row after row, of an array of Float32Array(2 * points).
  constructor(task, outputs, window, language = null) {
    this.task = task;
    this.language = language;
    this.phrases = [];
    this.outputs = outputs;
    this.window = window;
    this.lead = Math.min(LEAD, Math.floor(window / 4));
    this.oneClass = task.filler === null;
    this.pause = this.oneClass ? SIGN_PAUSE : PHRASE_PAUSE;
    this.frames = [];
    this.reset();
  }

  reset() {
    this.shown = NOTHING;
    this.begun = false;
    this.unseen = 0;
    this.waiting = 0;
    this.start = 0;
    this.seam = 0;
    this.kept = [];
    this.settled = [];
    this.before = [];
  }

  async push(frame, more = false) {
    const seen = handsSeen(frame, this.task.wrists).some(Boolean);
    if (this.frames.length === this.window) await this.roll();
    this.frames.push(frame);
    this.begun ||= seen;
    if (!this.begun) {
      if (this.frames.length > this.lead) this.frames.shift();
      return;
    }
    this.unseen = seen ? 0 : this.unseen + 1;
    this.waiting += 1;
    if (this.unseen >= this.pause) await this.end();
    else if (this.waiting >= HOP && !more) this.show(await this.decode());
  }

  async finish() {
    await this.end();
    this.frames = [];
  }

  async end() {
    if (this.begun) {
      const found = await this.logits();
      let phrase = this.phrase(this.letters(found));
      if (this.language && !this.start) phrase = claimed(this.likeliest(found), phrase.confidence);
      if (phrase.text) this.phrases.push(phrase);
    }
    this.frames = this.unseen ? this.frames.slice(-Math.min(this.unseen, this.lead)) : [];
    this.reset();
  }

  likeliest({values, rows}) {
    const classes = this.language.classes(values, rows);
    const lone = classes.length === 1 && classes[0] === this.task.filler;
    return lone ? "" : classes.map((each) => this.task.classes[each]).join("");
  }

  logits() {
    this.waiting = 0;
    return this.outputs(this.frames);
  }

  async decode() {
    return this.letters(await this.logits());
  }

  letters({values, rows}) {
    const width = values.length / rows;
    if (this.oneClass) {
      const [index, probability] = best(values, 0, width);
      return [{index, probability, first: 0, peak: 0, last: this.frames.length}];
    }
    const found = greedy(values, rows, width, this.start, this.frames.length / rows);
    return [...this.kept, ...found.filter((each) => each.peak >= this.seam)];
  }

  async roll() {
    const letters = await this.decode();
    const low = this.start + 0.25 * this.window;
    const high = this.start + 0.5 * this.window;
    let seam = low;
    if (!this.oneClass) {
      seam = widestGap(letters.map((each) => each.peak), low, high);
      this.kept = letters.filter((each) => each.peak < seam);
      this.seam = seam;
    }
    const start = Math.max(this.start + 1, Math.trunc(seam) - Math.floor(this.window / 8));
    this.frames = this.frames.slice(start - this.start);
    this.start = start;
    this.show(letters);
  }

  show(letters) {
    if (this.oneClass) {
      const phrase = this.phrase(letters);
      this.shown = phrase.claimed ? {settled: "", tentative: phrase.text, confidence: phrase.confidence} : NOTHING;
      return;
    }
    const newest = this.start + this.frames.length;
    const since = this.settled.length ? this.settled.at(-1).last : -1;
    let rest = letters.filter((each) => each.peak > since);
    let settled = 0;
    while (settled < Math.min(rest.length, this.before.length)) {
      const now = rest[settled];
      if (now.index !== this.before[settled].index || now.last > newest - SETTLED) break;
      this.settled.push(now);
      settled += 1;
    }
    this.before = rest = rest.slice(settled);
    const shown = [...this.settled, ...rest];
    const confidence = geometricMean(shown);
    if (confidence < FLOOR) {
      this.shown = {...NOTHING, confidence};
      return;
    }
    const start = this.text(this.settled);
    this.shown = {settled: start, tentative: this.text(shown).slice(start.length), confidence};
  }

  phrase(letters) {
    const text = this.text(letters);
    return claimed(text, text ? geometricMean(letters) : 0);
  }

  text(letters) {
    if (letters.length === 1 && letters[0].index === this.task.filler) return "";
    let text = "";
    letters.forEach((letter, position) => {
      const character = this.task.classes[letter.index];
      const pause = position > 0 && letter.first - letters[position - 1].last >= WORD_PAUSE;
      if (pause && character !== " " && !text.endsWith(" ")) text += " ";
      text += character;
    });
    return text;
  }
}

// Whether each of these wrists is seen, that is, has an x.
export function handsSeen(frame, wrists) {
  return wrists.map((wrist) => !Number.isNaN(frame[2 * wrist]));
}

// The letters of the greedy path; the blank is the last class. Row u lies at frame start + (u + 0.5) * step.
export function greedy(values, rows, width, start, step) {
  const letters = [];
  let previous = width - 1;
  for (let row = 0; row < rows; row += 1) {
    const [index, probability] = best(values, row * width, width);
    const time = start + (row + 0.5) * step;
    if (index !== width - 1) {
      if (index !== previous) letters.push({index, probability, first: time, peak: time, last: time});
      const letter = letters.at(-1);
      letter.last = time;
      if (probability > letter.probability) Object.assign(letter, {probability, peak: time});
    }
    previous = index;
  }
  return letters;
}

// The first of the largest of a row, and its probability.
function best(values, offset, width) {
  let index = 0;
  for (let i = 1; i < width; i += 1) if (values[offset + i] > values[offset + index]) index = i;
  let total = 0;
  for (let i = 0; i < width; i += 1) total += Math.exp(values[offset + i] - values[offset + index]);
  return [index, 1 / total];
}

// The middle of the widest gap between times from low to high; both ends count as times.
export function widestGap(times, low, high) {
  const inside = [low, ...times.filter((each) => low < each && each < high), high];
  let [width, middle] = [-1, low];
  for (let i = 1; i < inside.length; i += 1) {
    if (inside[i] - inside[i - 1] > width) {
      [width, middle] = [inside[i] - inside[i - 1], (inside[i] + inside[i - 1]) / 2];
    }
  }
  return middle;
}

function claimed(text, confidence) {
  return {text, confidence, claimed: Boolean(text) && confidence >= FLOOR};
}

function geometricMean(letters) {
  if (!letters.length) return 0;
  const logs = letters.map((each) => Math.log(Math.min(Math.max(each.probability, Number.MIN_VALUE), 1)));
  return Math.exp(logs.reduce((sum, each) => sum + each, 0) / logs.length);
}
