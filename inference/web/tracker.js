// MediaPipe Holistic: pictures in, landmarks out, with the settings of pipeline.track.

const FOLDER = new URL("lib/holistic/", import.meta.url).href;

export class Tracker {
  static async open() {
    await new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `${FOLDER}holistic.js`;
      script.onload = resolve;
      script.onerror = () => reject(new Error("lib/holistic/holistic.js cannot be loaded"));
      document.head.append(script);
    });
    const tracker = new Tracker();
    tracker.holistic = new globalThis.Holistic({locateFile: (file) => FOLDER + file});
    tracker.holistic.setOptions({
      modelComplexity: 1,
      smoothLandmarks: true,
      enableSegmentation: false,
      refineFaceLandmarks: false,
      selfieMode: false,
      minDetectionConfidence: 0.5,
      minTrackingConfidence: 0.5,
    });
    tracker.holistic.onResults((results) => { tracker.results = results; });
    await tracker.holistic.initialize();
    return tracker;
  }

  // What was found in a picture, of a video or canvas.
  async track(image) {
    await this.holistic.send({image});
    return this.results;
  }

  // Before pictures that do not continue the last ones.
  reset() {
    this.holistic.reset();
  }
}

// Whether this browser has WebGL, which MediaPipe computes with.
export function webglIsThere() {
  const canvas = document.createElement("canvas");
  return Boolean(canvas.getContext("webgl2") ?? canvas.getContext("webgl"));
}
