// CTC prefix beam search with a language model of the labels.
//
// The same as inference/beam.py and NGrams of inference/language.py, part for part, where reasons and sources stand;
// tests/inference/test_decoder.py feeds both the same.

const WIDTH = 8;
const RARE = Math.log(1e-3);

export class Language {
  // info: {classes: how many, weight, bonus, sizes: n-grams of each length from 1 on}.
  // content: an ArrayBuffer of the n-grams of all lengths (float64), then of their counts (uint32).
  constructor(info, content) {
    this.base = info.classes + 1;
    this.weight = info.weight;
    this.bonus = info.bonus;
    const total = info.sizes.reduce((sum, each) => sum + each, 0);
    const [grams, counts] = [new Float64Array(content, 0, total), new Uint32Array(content, 8 * total, total)];
    let first = 0;
    this.lengths = info.sizes.map((size) => {
      const own = {grams: grams.subarray(first, first + size), counts: counts.subarray(first, first + size)};
      first += size;
      return own;
    });
  }

  // Of each class to be the next after those of a label, and last of the label to end there.
  logProbabilities(label) {
    const {base} = this;
    const shares = new Float64Array(base).fill(1 / base);
    let context = 0;
    for (const [length, {grams, counts}] of this.lengths.entries()) {
      if (length) context += (label.at(-length) ?? base - 1) * base ** (length - 1);
      const [first, last] = [position(grams, context * base), position(grams, (context + 1) * base)];
      if (first === last) break;
      let total = 0;
      for (let i = first; i < last; i += 1) total += counts[i];
      const different = last - first;
      for (let c = 0; c < base; c += 1) shares[c] *= different / (total + different);
      for (let i = first; i < last; i += 1) shares[grams[i] - context * base] += counts[i] / (total + different);
    }
    return shares.map(Math.log);
  }

  // The likeliest label of logits, row after row.
  classes(values, rows) {
    const width = values.length / rows;
    const blank = width - 1;
    const root = {label: [], prior: 0, longer: new Map(), following: null};
    const following = (node) => (node.following ??= this.logProbabilities(node.label));
    const value = ([node, [quiet, other]]) => add(quiet, other) + node.prior;
    let beam = new Map([[root, [0, -Infinity]]]);
    for (let row = 0; row < rows; row += 1) {
      const frame = logSoftmax(values, row * width, width);
      const grown = new Map();
      const grow = (node, at, log) => {
        if (!grown.has(node)) grown.set(node, [-Infinity, -Infinity]);
        const found = grown.get(node);
        found[at] = add(found[at], log);
      };
      for (const [node, [quiet, other]] of beam) {
        const whole = add(quiet, other);
        const last = node.label.at(-1);
        grow(node, 0, whole + frame[blank]);
        if (last !== undefined) grow(node, 1, other + frame[last]);
        for (let c = 0; c < blank; c += 1) {
          if (frame[c] <= RARE) continue;
          const log = (c === last ? quiet : whole) + frame[c];
          if (log === -Infinity) continue;
          if (!node.longer.has(c)) {
            const prior = node.prior + this.weight * following(node)[c] + this.bonus;
            node.longer.set(c, {label: [...node.label, c], prior, longer: new Map(), following: null});
          }
          grow(node.longer.get(c), 1, log);
        }
      }
      beam = new Map([...grown].sort((one, two) => value(two) - value(one)).slice(0, WIDTH));
    }
    const final = (each) => value(each) + this.weight * following(each[0])[blank];
    return [...beam].reduce((best, each) => (final(each) > final(best) ? each : best))[0].label;
  }
}

// Where a number stands, or would stand, among sorted ones.
function position(sorted, number) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

function logSoftmax(values, offset, width) {
  const row = Array.from(values.subarray(offset, offset + width));
  const most = Math.max(...row);
  const log = Math.log(row.reduce((sum, each) => sum + Math.exp(each - most), 0));
  return row.map((each) => each - most - log);
}

// log(exp(one) + exp(two))
function add(one, two) {
  const [more, less] = one < two ? [two, one] : [one, two];
  return less === -Infinity ? more : more + Math.log1p(Math.exp(less - more));
}
