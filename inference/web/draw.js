// The skeleton of a frame on a canvas: hands, arms, lips.

const FINGERS = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [17, 18, 19, 20]];
const PALM = [0, 1, 5, 9, 13, 17, 0];
const ARMS = [[16, 14, 12, 11, 13, 15]];

// Draws frames of these points; colors are read from the canvas's own style.
export class Skeleton {
  constructor(canvas, names) {
    this.canvas = canvas;
    const at = (part) => (number) => names.indexOf(`${part}_${number}`);
    this.lines = [
      {color: "--body", width: 0.006, paths: ARMS.map((path) => path.map(at("pose")))},
      ...["left_hand", "right_hand"].map((hand) => ({
        color: `--${hand.replace("_", "-")}`,
        width: 0.007,
        paths: [PALM, ...FINGERS.map((finger) => finger)].map((path) => path.map(at(hand))),
        dots: true,
      })),
    ];
    this.lips = names.flatMap((name, i) => (name.startsWith("face_") ? [i] : []));
  }

  clear() {
    this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw(frame) {
    const {canvas} = this;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const point = (i) => [frame[2 * i] * canvas.width, frame[2 * i + 1] * canvas.height];
    const scale = Math.max(canvas.width, canvas.height);
    this.clear();
    context.lineJoin = context.lineCap = "round";
    context.fillStyle = style.getPropertyValue("--body");
    for (const i of this.lips) dot(context, point(i), 0.0022 * scale);
    for (const {color, width, paths, dots} of this.lines) {
      context.strokeStyle = context.fillStyle = style.getPropertyValue(color);
      context.lineWidth = width * scale;
      for (const path of paths) {
        const seen = path.filter((i) => i >= 0).map(point).filter(([x, y]) => !Number.isNaN(x + y));
        context.beginPath();
        seen.forEach(([x, y]) => context.lineTo(x, y));
        context.stroke();
      }
      if (dots) for (const i of new Set(paths.flat())) dot(context, point(i), 0.8 * width * scale);
    }
  }
}

function dot(context, [x, y], radius) {
  if (Number.isNaN(x + y)) return;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}
