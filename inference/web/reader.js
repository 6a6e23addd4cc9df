// The page's end of worker.js: frames in, text out.

export class Reader {
  // info: of model.json; changed(state, seconds) is called after each lot of frames, failed(message) when reading fails.
  static async open(info, {changed = () => {}, failed = () => {}} = {}) {
    const address = new URL("worker.js", import.meta.url).href;
    const script = new Blob([
      `const early = []; self.onmessage = (event) => early.push(event);`,
      `import(${JSON.stringify(address)}).then(() => early.forEach((event) => self.onmessage(event)),`,
      ` (error) => postMessage({error: String(error), at: "load"}));`,
    ], {type: "text/javascript"});
    const worker = new Worker(URL.createObjectURL(script));
    const reader = new Reader(worker);
    await new Promise((resolve, reject) => {
      worker.onerror = (event) => reject(new Error(event.message ?? "the worker did not start"));
      worker.onmessage = ({data}) => (data.ready ? resolve() : reject(new Error(data.error)));
      worker.postMessage({load: info});
    });
    worker.onerror = (event) => failed(event.message);
    worker.onmessage = ({data}) => {
      if (data.error) return failed(data.error);
      changed(data.state, data.seconds);
      reader.waiting.get(data.id)?.(data.state);
      reader.waiting.delete(data.id);
    };
    return reader;
  }

  constructor(worker) {
    this.worker = worker;
    this.waiting = new Map();
    this.count = 0;
  }

  // Each resolves to the state after it: {phrases, shown, milliseconds, frames, decodings}.
  push(frames, seconds = null) {
    return this.ask({frames, seconds});
  }

  finish() {
    return this.ask({finish: true});
  }

  clear() {
    return this.ask({clear: true});
  }

  ask(job) {
    const id = (this.count += 1);
    const answer = new Promise((resolve) => this.waiting.set(id, resolve));
    this.worker.postMessage({...job, id});
    return answer;
  }

  close() {
    this.worker.terminate();
  }
}
