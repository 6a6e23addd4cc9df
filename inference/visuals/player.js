// The clip player: landmarks as they move or channels as lines, and below them a strip of what is seen, frame by frame.
// Arrays are (P points, D axes, T frames), NaN for missing.
"use strict";
(() => {
  const given = JSON.parse(document.getElementById("clips-data").textContent);
  if (!given) return;
  const { task, clips } = given;
  const $ = (id) => document.getElementById(id);
  const COLORS = task.colors;
  const FPS = task.rate || 30; // where the data do not say: what phones record
  const GUTTER = 86, PART = 11, ROW = 13; // pixels of the strip: names, a part, a class
  const STEPS = 16382; // into which the range of an axis, or of a channel, is divided
  const places = task.axes.length > 1;
  const count = task.points.length, axes = task.axes.length;
  const state = { clip: null, values: null, seen: [], frame: 0, playing: false, since: 0, from: 0, speed: 1, drawn: 0 };

  // ---- clips

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  async function unpacked(clip) {
    const stream = new Blob([bytes(clip.landmarks.data)]).stream().pipeThrough(new DecompressionStream("gzip"));
    const view = new DataView(await new Response(stream).arrayBuffer());
    const values = new Float32Array(view.byteLength / 2), { low, step } = clip.landmarks;
    for (let row = 0, i = 0; row < count * axes; row++) {
      const k = low.length === axes ? row % axes : row; // a range for each axis, or for each channel
      for (let t = 0, at = 0; t < clip.frames; t++, i++) {
        at = (at + view.getUint16(2 * i, true)) & 0xffff;
        values[i] = at ? low[k] + (at - 1) * step[k] : NaN;
      }
    }
    return values;
  }

  const value = (point, axis, t) => state.values[(point * axes + axis) * state.clip.frames + t];

  const quoted = (text) => (text ? `“${text}”` : "nothing");

  async function open(clip) {
    pause();
    state.asked = clip;
    const values = await unpacked(clip);
    if (state.asked !== clip) return; // another was asked for meanwhile
    Object.assign(state, { clip, values, frame: 0 });
    state.seen = task.parts.map(([, start, stop]) => Array.from({ length: clip.frames }, (_, t) => {
      let there = 0;
      for (let p = start; p < stop; p++) there += !Number.isNaN(value(p, 0, t));
      return there / (stop - start);
    }));
    if (clip.trace && !clip.trace.cells) clip.trace.cells = bytes(clip.trace.p);
    bounds();
    $("frame").max = clip.frames - 1;
    $("label").textContent = clip.label;
    const scores = clip.scores.map((s) => `${s.of}: ${s.quality.toFixed(3)}, ${quoted(s.prediction)}`);
    const model = clip.trace ? [`model: ${quoted(clip.trace.prediction)}, confidence ${clip.trace.confidence.toFixed(2)}`] : [];
    const planted = clip.planted ? [`planted: ${clip.planted}`] : [];
    const who = `clip ${clip.id}, ${task.people} ${clip.signer}, ${clip.split}, ${clip.frames} frames`;
    $("about").textContent = [who, ...planted, ...scores, ...model, `here as ${clip.why.join(", ")}`].join(" · ");
    $("clips").value = String(clip.id);
    draw();
  }

  // ---- choosing

  function wanted() {
    const text = $("find").value.trim().toLowerCase(), kind = $("kind").value, order = $("order").value;
    const fits = (c) => !text || String(c.id).includes(text) || c.label.toLowerCase().includes(text) || String(c.signer) === text;
    const found = clips.filter((c) => fits(c) && (!kind || c.why.includes(kind)));
    const score = (c) => (c.scores.length ? c.scores[c.scores.length - 1].quality : 2);
    const by = {
      id: (a, b) => a.id - b.id, label: (a, b) => (a.label < b.label ? -1 : a.label > b.label ? 1 : a.id - b.id),
      signer: (a, b) => a.signer - b.signer, score: (a, b) => score(a) - score(b), frames: (a, b) => a.frames - b.frames,
    }[order];
    return by ? found.slice().sort(by) : found;
  }

  function list() {
    const options = wanted().map((clip) => {
      const last = clip.scores[clip.scores.length - 1];
      return new Option(`${last ? `${last.quality.toFixed(2)}  ` : ""}${clip.id}  ${clip.label}`, clip.id);
    });
    $("clips").replaceChildren(...options);
    if (state.clip) $("clips").value = String(state.clip.id);
  }

  const byId = (id) => clips.find((clip) => String(clip.id) === String(id));

  function neighbor(step) {
    const shown = [...$("clips").options].map((option) => option.value);
    const at = shown.indexOf(String(state.clip.id)) + step;
    if (at >= 0 && at < shown.length) open(byId(shown[at]));
  }

  // ---- time

  function pause() {
    state.playing = false;
    $("play").textContent = "▶";
    $("play").setAttribute("aria-label", "Play");
  }

  function play() {
    if (state.frame >= state.clip.frames - 1) state.frame = 0;
    Object.assign(state, { playing: true, since: performance.now(), from: state.frame });
    $("play").textContent = "⏸";
    $("play").setAttribute("aria-label", "Pause");
    requestAnimationFrame(tick);
  }

  function tick(now) {
    if (!state.playing) return;
    const frame = state.from + Math.floor(Math.max(0, now - state.since) / 1000 * FPS * state.speed);
    const last = state.clip.frames - 1;
    if (frame !== state.frame) {
      state.frame = Math.min(frame, last);
      draw();
    }
    if (state.frame >= last) pause();
    else requestAnimationFrame(tick);
  }

  function go(frame) {
    state.frame = Math.max(0, Math.min(state.clip.frames - 1, frame));
    Object.assign(state, { since: performance.now(), from: state.frame });
    draw();
  }

  function setSpeed(step) {
    const select = $("speed");
    select.selectedIndex = Math.max(0, Math.min(select.options.length - 1, select.selectedIndex + step));
    state.speed = Number(select.value);
    Object.assign(state, { since: performance.now(), from: state.frame });
  }

  // ---- the picture

  // The canvas with as many pixels as the screen has for it.
  function surface(canvas, height) {
    if (height) canvas.style.height = `${height}px`;
    const ratio = devicePixelRatio || 1, { clientWidth: w, clientHeight: h } = canvas;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, h);
    return [c, w, h];
  }

  // What does not change from frame to frame, painted once for a clip and a size, and copied.
  const layers = {};
  function layer(c, name, w, h, paint) {
    if (!c.canvas.width || !c.canvas.height) return; // not laid out, or not seen
    const key = [state.clip.id, w, h, c.canvas.width].join();
    if (!layers[name] || layers[name].key !== key) {
      const canvas = Object.assign(document.createElement("canvas"), { width: c.canvas.width, height: c.canvas.height });
      const own = canvas.getContext("2d");
      own.setTransform(c.getTransform());
      paint(own);
      layers[name] = { key, canvas };
    }
    c.drawImage(layers[name].canvas, 0, 0, w, h);
  }

  // What of the image is shown: where all but the farthest points of the chosen parts are, over the whole clip.
  function bounds() {
    if (!places) return;
    const chosen = $("zoom").value;
    state.box = null;
    const [xs, ys] = [0, 1].map((axis) => {
      const found = [];
      for (const [name, start, stop] of task.parts) {
        if (chosen && chosen !== name) continue;
        for (let p = start; p < stop; p++) {
          for (let t = 0; t < state.clip.frames; t++) if (value(p, axis, t) === value(p, axis, t)) found.push(value(p, axis, t));
        }
      }
      found.sort((a, b) => a - b);
      return found.length ? [found[Math.floor(0.005 * found.length)], found[Math.floor(0.995 * (found.length - 1))]] : [0, 1];
    });
    state.box = { x: xs[0], y: ys[0], w: Math.max(xs[1] - xs[0], 1e-6), h: Math.max(ys[1] - ys[0], 1e-6) };
  }

  function drawPlaces() {
    const [c, w, h] = surface($("picture"));
    const { box, frame } = state, margin = 28, numbered = $("numbers").checked, zoomed = $("zoom").value;
    const closeUps = !zoomed && w > 620 ? task.hands : [], wide = w - 190 * closeUps.length;
    const scale = Math.min((wide - 2 * margin) / box.w, (h - 2 * margin) / (box.h * task.aspect));
    const left = (wide - box.w * scale) / 2, top = (h - box.h * task.aspect * scale) / 2;
    const at = (p) => [left + (value(p, 0, frame) - box.x) * scale, top + (value(p, 1, frame) - box.y) * task.aspect * scale];
    const partOf = (p) => task.parts.findIndex(([, start, stop]) => p >= start && p < stop);
    c.lineWidth = 2;
    for (const [a, b] of task.edges) {
      const [[x, y], [u, v]] = [at(a), at(b)];
      if (Number.isNaN(x + y + u + v)) continue;
      c.strokeStyle = COLORS[partOf(a) % COLORS.length];
      c.beginPath(); c.moveTo(x, y); c.lineTo(u, v); c.stroke();
    }
    c.font = "10px system-ui";
    task.parts.forEach(([name, start, stop], i) => {
      c.fillStyle = COLORS[i % COLORS.length];
      for (let p = start; p < stop; p++) {
        const [x, y] = at(p);
        if (Number.isNaN(x + y)) continue;
        c.beginPath(); c.arc(x, y, zoomed === name ? 4 : 2.5, 0, 7); c.fill();
        if (numbered && (!zoomed || zoomed === name)) c.fillText(task.points[p].replace(/^.*_/, ""), x + 4, y - 3);
      }
    });
    legend(c, h);
    closeUps.forEach((hand, i) => closeUp(c, hand, wide + 190 * i, 10, 180));
  }

  // A hand as large as its square allows, wherever in the image it is.
  function closeUp(c, hand, left, top, size) {
    const i = task.parts.findIndex(([name]) => name === hand), [, start, stop] = task.parts[i], { frame } = state;
    c.strokeStyle = "#ddd"; c.lineWidth = 1;
    c.strokeRect(left, top, size, size);
    c.fillStyle = "#555"; c.font = "11px system-ui";
    const xs = [], ys = [];
    for (let p = start; p < stop; p++) {
      if (Number.isNaN(value(p, 0, frame) + value(p, 1, frame))) continue;
      xs.push(value(p, 0, frame)); ys.push(value(p, 1, frame) * task.aspect);
    }
    c.fillText(xs.length ? hand : `${hand}: missing`, left + 6, top + 14);
    if (!xs.length) return;
    const [x0, y0] = [Math.min(...xs), Math.min(...ys)], wide = Math.max(...xs) - x0, high = Math.max(...ys) - y0;
    const scale = (size - 44) / Math.max(wide, high, 1e-6);
    const at = (p) => [
      left + size / 2 + (value(p, 0, frame) - x0 - wide / 2) * scale,
      top + size / 2 + 8 + (value(p, 1, frame) * task.aspect - y0 - high / 2) * scale,
    ];
    c.strokeStyle = c.fillStyle = COLORS[i % COLORS.length]; c.lineWidth = 2;
    for (const [a, b] of task.edges) {
      if (a < start || a >= stop) continue;
      const [[x, y], [u, v]] = [at(a), at(b)];
      if (!Number.isNaN(x + y + u + v)) { c.beginPath(); c.moveTo(x, y); c.lineTo(u, v); c.stroke(); }
    }
    c.font = "10px system-ui";
    for (let p = start; p < stop; p++) {
      const [x, y] = at(p);
      if (Number.isNaN(x + y)) continue;
      c.beginPath(); c.arc(x, y, 3, 0, 7); c.fill();
      if ($("numbers").checked) c.fillText(task.points[p].replace(/^.*_/, ""), x + 4, y - 3);
    }
  }

  // Names of the parts in their colors; those that this frame does not show are struck out and said to be missing.
  function legend(c, h) {
    c.font = "12px system-ui";
    task.parts.forEach(([name], i) => {
      const there = state.seen[i][state.frame] > 0, y = h - 10 - 16 * (task.parts.length - 1 - i);
      c.fillStyle = there ? COLORS[i % COLORS.length] : "#767676";
      c.fillText(there ? `● ${name}` : `○ ${name}: missing`, 10, y);
    });
  }

  // Channels: a line each, in a lane of its own; gaps where values are missing.
  function drawChannels() {
    const lane = Math.max(14, Math.min(60, 400 / count));
    const [c, w, h] = surface($("picture"), Math.max(200, Math.min(700, lane * count + 20)));
    const { clip, frame } = state, each = (h - 10) / count, { low, step } = clip.landmarks;
    const x = (t) => GUTTER + (t + 0.5) / clip.frames * (w - GUTTER);
    const middle = (p) => 5 + each * (p + 0.5);
    layer(c, "channels", w, h, (own) => {
      own.font = "11px system-ui";
      own.lineWidth = 1.5;
      for (let p = 0; p < count; p++) {
        const height = each - 6, bottom = middle(p) + height / 2, range = step[p] * STEPS;
        own.fillStyle = own.strokeStyle = COLORS[p % COLORS.length];
        if (each >= 12 || p % 2 === 0) own.fillText(task.points[p].slice(0, 12), 6, middle(p) + (each >= 26 ? -2 : 4));
        own.beginPath();
        for (let t = 0, down = false; t < clip.frames; t++) {
          const v = value(p, 0, t);
          if (Number.isNaN(v)) { down = false; continue; }
          const y = bottom - (v - low[p]) / range * height;
          if (down) own.lineTo(x(t), y); else { own.moveTo(x(t), y); own.lineTo(x(t) + 0.5, y); }
          down = true;
        }
        own.stroke();
      }
    });
    c.font = "11px system-ui";
    for (let p = 0; p < count && each >= 26; p++) {
      const now = value(p, 0, frame);
      c.fillStyle = COLORS[p % COLORS.length];
      c.fillText(Number.isNaN(now) ? "missing" : now.toPrecision(3), 6, middle(p) + 11);
    }
    c.fillStyle = "#000";
    c.fillRect(x(frame) - 0.75, 0, 1.5, h);
  }

  // ---- the strip

  function drawStrip() {
    const { clip, frame, seen } = state, trace = clip.trace;
    const shownParts = places ? task.parts.map(([name], i) => [name, i]) : [];
    const rows = trace ? trace.rows.length : 0, letters = trace ? 18 : 0;
    const height = shownParts.length * PART + letters + rows * ROW + 8;
    const [c, w] = surface($("strip"), Math.max(14, height));
    const wide = w - GUTTER, x = (t) => GUTTER + t / clip.frames * wide;
    const top = shownParts.length * PART + 2, begins = (u) => (u ? trace.at[u - 1] : 0);
    layer(c, "strip", w, Math.max(14, height), (own) => {
      own.font = "10px system-ui";
      shownParts.forEach(([name, i], row) => {
        own.fillStyle = "#444";
        own.fillText(name, 0, row * PART + 9);
        own.fillStyle = "#ececec";
        own.fillRect(GUTTER, row * PART + 1, wide, PART - 2);
        own.fillStyle = COLORS[i % COLORS.length];
        for (let t = 0; t < clip.frames; t++) {
          if (seen[i][t] > 0) own.fillRect(x(t), row * PART + 1, wide / clip.frames + 0.4, PART - 2);
        }
      });
      for (let row = 0; row < rows; row++) {
        const y = top + letters + row * ROW;
        own.fillStyle = "#444";
        own.fillText(trace.rows[row].slice(0, 13), 0, y + 10);
        trace.at.forEach((till, u) => {
          const shade = trace.cells[row * trace.at.length + u] / 255;
          own.fillStyle = `rgb(${Math.round(255 - 255 * shade)} ${Math.round(255 - 141 * shade)} ${Math.round(255 - 77 * shade)})`;
          own.fillRect(x(begins(u)), y + 1, x(till) - x(begins(u)) + 0.4, ROW - 2);
        });
      }
    });
    if (trace) {
      c.font = "12px ui-monospace, monospace";
      const end = { said: null, x: -9 };
      for (const [u, text] of trace.emitted) { // where each comes up; of one class only where it changes
        if (trace.growing && text === end.said) continue;
        end.said = text;
        const place = x(begins(u)), fits = place >= end.x;
        c.fillStyle = begins(u) <= frame ? "#000" : "#999";
        c.fillRect(place, top, 1, 14);
        if (fits) {
          const shown = text === " " ? "␣" : text;
          c.fillText(shown, place + 2, top + 11);
          end.x = place + 3 + c.measureText(shown).width;
        }
      }
    }
    c.fillStyle = "#000";
    c.fillRect(GUTTER + (frame + 0.5) / clip.frames * wide - 0.75, 0, 1.5, height);
  }

  function said() {
    const trace = state.clip.trace;
    $("said-line").hidden = !trace;
    if (!trace) return;
    const up = trace.emitted.filter(([u]) => (trace.growing ? trace.at[u] - 1 : u ? trace.at[u - 1] : 0) <= state.frame);
    $("said").textContent = trace.growing ? (up.length ? up[up.length - 1][1] : "") : up.map(([, text]) => text).join("");
  }

  function draw() {
    if (!state.clip) return;
    if (places) drawPlaces(); else drawChannels();
    drawStrip();
    said();
    const seconds = (state.frame / FPS).toFixed(2);
    $("time").textContent = `frame ${state.frame + 1} of ${state.clip.frames}${task.rate ? `, ${seconds} s` : ""}`;
    $("frame").value = state.frame;
    const missing = task.parts.filter((_, i) => !state.seen[i][state.frame]).map(([name]) => name);
    const told = missing.length ? `missing: ${missing.slice(0, 6).join(", ")}` : "all parts seen";
    $("picture").setAttribute("aria-label", `Clip ${state.clip.id}, ${state.clip.label}: frame ${state.frame + 1}, ${told}`);
    $("frame").setAttribute("aria-valuetext", `frame ${state.frame + 1} of ${state.clip.frames}, ${told}`);
    state.drawn += 1;
    $("player").dataset.drawn = state.drawn;
  }

  // ---- what people do

  const toggle = () => (state.playing ? pause() : play());
  const KEYS = {
    " ": toggle, ArrowLeft: (e) => go(state.frame - (e.shiftKey ? 10 : 1)), ArrowRight: (e) => go(state.frame + (e.shiftKey ? 10 : 1)),
    Home: () => go(0), End: () => go(Infinity), "+": () => setSpeed(1), "=": () => setSpeed(1), "-": () => setSpeed(-1),
    n: () => { $("numbers").checked = !$("numbers").checked; draw(); }, "[": () => neighbor(-1), "]": () => neighbor(1),
  };
  $("player").addEventListener("keydown", (event) => {
    const writes = event.target.matches("input[type=search], select") || event.ctrlKey || event.metaKey || event.altKey;
    const presses = event.key === " " && event.target.matches("button, input[type=checkbox]"); // which it does itself
    if (writes || presses || !KEYS[event.key] || !state.clip) return;
    event.preventDefault();
    KEYS[event.key](event);
  });
  $("play").addEventListener("click", toggle);
  $("back").addEventListener("click", () => { pause(); go(state.frame - 1); });
  $("forward").addEventListener("click", () => { pause(); go(state.frame + 1); });
  $("frame").addEventListener("input", () => go(Number($("frame").value)));
  $("speed").addEventListener("change", () => setSpeed(0));
  $("numbers").addEventListener("change", draw);
  $("zoom").addEventListener("change", () => { bounds(); draw(); });
  $("find").addEventListener("input", list);
  $("kind").addEventListener("change", list);
  $("order").addEventListener("change", list);
  $("clips").addEventListener("change", () => open(byId($("clips").value)));
  const scrub = (event) => {
    const x = event.offsetX - GUTTER, wide = $("strip").clientWidth - GUTTER;
    go(Math.floor(x / wide * state.clip.frames));
  };
  $("strip").addEventListener("pointerdown", (event) => { $("strip").setPointerCapture(event.pointerId); scrub(event); });
  $("strip").addEventListener("pointermove", (event) => { if (event.buttons) scrub(event); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.clip");
    if (!button) return;
    open(byId(button.dataset.clip));
    $("player").scrollIntoView();
    $("picture").focus({ preventScroll: true });
  });
  new ResizeObserver(draw).observe($("picture").parentElement);

  $("zoom").replaceChildren(new Option("everything", ""), ...task.parts.map(([name]) => new Option(name, name)));
  $("zoom-label").hidden = $("numbers-label").hidden = !places;
  const kinds = [...new Set(clips.flatMap((clip) => clip.why))];
  $("kind").replaceChildren(new Option("all kinds", ""), ...kinds.map((kind) => new Option(kind, kind)));
  list();
  open(clips[0]);
})();
