// Where pictures come from: a camera, a video file; or recorded landmarks, which need no tracker.
//
// Each runs until it ends or is stopped: run(take) calls `await take(picture)` with {seconds, image} or {seconds, frame}.

import {RATE} from "./decoder.js";

// What is wrong, in words, and what to do.
export class Trouble extends Error {}

const CAMERA = {
  NotFoundError: "No camera was found. Connect one and start again, or open a video.",
  OverconstrainedError: "This camera gives no usable picture. Try another one, or open a video.",
  NotAllowedError: "The camera was refused. Allow it in the browser's settings for this page, and start again.",
  NotReadableError: "The camera is used by another program. Close that one and start again.",
  AbortError: "The camera did not start. Connect it anew and start again.",
};

export class Camera {
  mirrored = true;

  constructor(video) {
    this.video = video;
  }

  async open() {
    if (!navigator.mediaDevices) {
      throw new Trouble("Browsers give a camera only to pages from https:// or from this machine (localhost). Serve the page so.");
    }
    const wanted = {video: {facingMode: "user", width: {ideal: 1280}, height: {ideal: 720}, frameRate: {ideal: RATE}}};
    try {
      this.stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      throw new Trouble(CAMERA[error.name] ?? `The camera did not start: ${error.message}`);
    }
    [this.track] = this.stream.getVideoTracks();
    this.video.srcObject = this.stream;
    await this.video.play();
  }

  // Whether the browser says that no picture comes: another program took the camera, or a switch turned it off.
  get silent() {
    return this.track.muted;
  }

  async run(take) {
    this.track.onended = () => { this.trouble = new Trouble("The camera was disconnected."); this.stop(); };
    while (!this.stopped) {
      await nextPicture(this.video);
      if (!this.stopped) await take({seconds: performance.now() / 1000, image: this.video});
    }
    if (this.trouble) throw this.trouble;
  }

  stop() {
    this.stopped = true;
    this.stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
  }
}

// Resolves with the next picture, or after a while where none comes.
function nextPicture(video) {
  return new Promise((resolve) => {
    setTimeout(resolve, 500);
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(resolve);
    else requestAnimationFrame(resolve);
  });
}

// Every frame of it, however long tracking takes.
export class VideoFile {
  mirrored = false;

  constructor(video, file) {
    this.video = video;
    this.file = file;
  }

  async open() {
    const {video, file} = this;
    this.address = URL.createObjectURL(file);
    await new Promise((resolve, reject) => {
      video.onloadeddata = resolve;
      video.onerror = () => reject(
        new Trouble(`${file.name} cannot be decoded by this browser. Convert it, to MP4 (H.264) or WebM, and open that.`),
      );
      video.src = this.address;
    });
    if (!video.videoWidth) throw new Trouble(`${file.name} has no picture.`);
    if (!Number.isFinite(video.duration)) await this.seek(1e9); // as browsers record: its end is where that leads
    this.end = Number.isFinite(video.duration) ? video.duration : video.currentTime;
  }

  async run(take) {
    const {video} = this;
    for (let number = 0; !this.stopped; number += 1) {
      const seconds = number / RATE;
      if (seconds >= this.end) return;
      await this.seek(seconds + 0.5 / RATE); // the middle of the frame's time: rounding would show its neighbor
      if (!this.stopped) await take({seconds, image: video});
    }
  }

  seek(seconds) {
    const {video, file} = this;
    return new Promise((resolve, reject) => {
      video.onseeked = resolve;
      video.onerror = () => reject(new Trouble(`${file.name} cannot be decoded to its end. Convert it again.`));
      video.currentTime = seconds;
    });
  }

  stop() {
    this.stopped = true;
    this.video.onerror = null;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.address);
  }
}

// A JSON file of the page's own origin, {rate, width, height, clips: [[[x, y, x, y, ...], ...], ...]} with null for
// missing; in real time, clip after clip.
export class Landmarks {
  mirrored = false;

  constructor(address) {
    this.address = address;
  }

  async open() {
    const answer = await fetch(this.address);
    if (!answer.ok) throw new Trouble(`${this.address}: ${answer.status} ${answer.statusText}`);
    const {rate, width, height, clips} = await answer.json();
    Object.assign(this, {rate, width, height});
    this.clips = clips.map((clip) => clip.map((frame) => Float32Array.from(frame, (value) => value ?? NaN)));
  }

  async run(take) {
    const started = performance.now();
    let number = 0;
    for (const clip of this.clips) {
      for (const frame of clip) {
        if (this.stopped) return;
        const seconds = number / this.rate;
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, started + seconds * 1000 - performance.now())));
        await take({seconds, frame});
        number += 1;
      }
      await take({ended: true});
    }
  }

  stop() {
    this.stopped = true;
  }
}
