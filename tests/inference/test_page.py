"""The page, in a browser: with the toy model, and recorded landmarks in place of a camera and the tracker."""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading
import time

import numpy as np
import pytest

from inference import libraries, page
from inference.recognizer import Recognizer
from inference.window import FIXED, Window
from pipeline.common import directories
from pipeline.common.errors import UserError
from tests import browser

ROOT = pathlib.Path(page.__file__).parents[1]
VIDEOS = pathlib.Path(os.environ.get("FINGERSPELLING_SHARED", ROOT.parent / "shared")) / "data/videos"
# WebGL without a graphics card, and a camera that shows a film.
WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
CAMERA = ("--use-fake-device-for-media-stream",)
MEGABYTES = 45  # of the page, model apart


@pytest.fixture(scope="session")
def folder(toy_model, made_once, command) -> pathlib.Path:
    """Of a page made of the toy model."""

    def make(place: pathlib.Path) -> None:
        try:
            command(page, "--model", toy_model, "--output", place)
        except UserError as error:
            if "npm" in str(error):
                pytest.skip(f"NOT CHECKED: the page, as its libraries are not here: {error}")
            raise

    return made_once("toy-page", make)


@contextlib.contextmanager
def served(folder: pathlib.Path):
    """Yields where a page is served, as `--serve` does it."""
    handler = functools.partial(page._Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def address(folder):
    with served(folder) as address:
        yield address


def clips_of(clips) -> str:
    """What the page's source of recorded landmarks takes."""
    rows = [[[None if np.isnan(v) else float(v) for v in f.ravel()] for f in clip] for clip in clips]
    return json.dumps({"rate": 30, "width": 900, "height": 1200, "clips": rows})


def ready(opened, address: str) -> None:
    opened.goto(address)
    opened.wait_for_selector("body[data-ready]", timeout=60_000)


def test_what_is_made(folder, toy_model):
    manifest = directories.read_manifest(folder, page.KIND)
    assert {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()} == {
        *manifest["files"],
        "manifest.json",
        "request.json",
    }
    assert manifest["bytes"] - (folder / FIXED).stat().st_size <= MEGABYTES * 10**6
    description = json.loads((folder / "model.json").read_text())
    assert description["window"] == Window(toy_model).frames
    assert description["model_sha256"] == directories.sha256_of(toy_model / FIXED)


def test_no_address_of_a_registry():
    for name in libraries.PACKAGES:
        text = (libraries.WEB / name).read_text(encoding="utf-8")
        assert "://" not in text and "resolved" not in text
    assert json.loads(text)["packages"]["node_modules/@mediapipe/holistic"]["integrity"].startswith("sha512-")


def without_floor(opened) -> None:
    """An untrained network is never sure: everything is claimed."""
    source = (libraries.WEB / "decoder.js").read_text(encoding="utf-8").replace("FLOOR = 0.5", "FLOOR = 0")
    opened.route("**/decoder.js", lambda route: route.fulfill(body=source, content_type="text/javascript"))


@browser.needed
def test_it_reads_recorded_landmarks_and_nothing_leaves_it(address, toy_model, noise):
    """In real time: each phrase stands in the text once, and whatever is asked for is of the page's own origin."""
    clips = [noise(n, n) for n in (20, 24)]
    expected = [recognized for recognized in map(Recognizer(toy_model).recognize, clips) if recognized.label]
    assert expected
    with browser.opened() as opened:
        asked = []
        opened.context.on("request", lambda request: asked.append(request.url))
        opened.route("**/recorded.json", lambda route: route.fulfill(body=clips_of(clips)))
        without_floor(opened)
        ready(opened, f"{address}?landmarks=recorded.json")
        assert float(opened.evaluate("document.body.dataset.ready")) < 10_000
        opened.get_by_role("button", name="Play the recording").press("Enter")
        opened.get_by_text("Finished.").wait_for()
        # innerText makes one space of two.
        said = opened.eval_on_selector_all("#phrases li", "items => items.map((item) => item.textContent)")
        assert said == [each.label for each in expected]
        opened.get_by_role("button", name="Clear").press("Enter")
        opened.locator("#phrases li").first.wait_for(state="detached")
    assert len(asked) > 12
    assert [url for url in asked if not url.startswith((address, f"blob:{address}"))] == []


@browser.needed
@pytest.mark.parametrize("where", ["page", "worker"])
def test_a_request_to_another_origin_is_refused(address, where):
    """Also in the reader's worker, which inherits the page's policy as it is started from a blob."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        attempt = f"fetch('http://127.0.0.1:{elsewhere.getsockname()[1]}/').then(() => 'let out', () => 'refused')"
        if where == "worker":
            made = f"new Worker(URL.createObjectURL(new Blob([`{attempt}.then(postMessage)`])))"
            attempt = f"new Promise((resolve) => {{ {made}.onmessage = ({{data}}) => resolve(data); }})"
        said = ""
        # The browser reports a refusal as an error: the only one here.
        with contextlib.suppress(AssertionError), browser.opened() as opened:
            opened.goto(f"{address}?landmarks=none")
            said = opened.evaluate(attempt)
        assert said == "refused"
        elsewhere.settimeout(0.1)
        with pytest.raises(TimeoutError):
            elsewhere.accept()


READ = """async () => {
  const {Reader} = await import("./reader.js");
  const {Landmarks} = await import("./sources.js");
  const source = new Landmarks("recorded.json");
  await source.open();
  const reader = await Reader.open(await (await fetch("model.json")).json());
  const texts = [];
  const milliseconds = [];
  let state;
  for (const clip of source.clips) {
    await reader.clear();
    for (const frame of clip) {
      state = await reader.push([frame]);
      milliseconds.push(state.milliseconds);
    }
    state = await reader.finish();
    texts.push(state.phrases.map((phrase) => phrase.text).join(" "));
  }
  return {texts, milliseconds, frames: state.frames};
}"""


@browser.needed
def test_the_page_reads_what_the_recognizer_reads(address, toy_model, noise):
    """200 clips, frame by frame: at least 99 % alike. Figures of a trained model are in the README."""
    recognizer, window = Recognizer(toy_model), Window(toy_model)
    clips = [noise(3 + seed % (window.frames - 2), seed) for seed in range(200)]
    with browser.opened() as opened:
        opened.route("**/recorded.json", lambda route: route.fulfill(body=clips_of(clips)))
        opened.goto(f"{address}?landmarks=none")
        found = opened.evaluate(READ)
    expected = [recognizer.recognize(clip).label for clip in clips]
    assert len(set(expected)) > 50
    same = sum(a == b for a, b in zip(found["texts"], expected, strict=True))
    print(f"{same} of {len(clips)} alike")
    assert same >= 0.99 * len(clips)
    assert found["frames"] == sum(map(len, clips))  # none dropped


@pytest.mark.parametrize("greedy", [False, True])
def test_its_language_model(folder, model_with_language, command, tmp_path, greedy):
    """Goes along, if there is one and it is wanted."""
    del folder  # made before: the libraries are there
    made = tmp_path / "page"
    command(page, "--model", model_with_language, "--output", made, *["--greedy"] * greedy)
    description = json.loads((made / "model.json").read_text())
    assert (made / page.LANGUAGE).exists() == ("language" in description) == (not greedy)
    assert (page.LANGUAGE in directories.read_manifest(made, page.KIND)["files"]) == (not greedy)


@browser.needed
def test_with_a_language_model_it_reads_what_the_recognizer_reads(
    folder, model_with_language, command, tmp_path, noise
):
    del folder
    command(page, "--model", model_with_language, "--output", tmp_path / "page")
    recognizer = Recognizer(model_with_language)
    clips = [noise(3 + seed % 20, seed) for seed in range(20)]
    expected = [recognizer.recognize(clip).label for clip in clips]
    assert expected != [recognizer.recognize(clip, greedy=True).label for clip in clips]
    with served(tmp_path / "page") as address, browser.opened() as opened:
        opened.route("**/recorded.json", lambda route: route.fulfill(body=clips_of(clips)))
        opened.goto(f"{address}?landmarks=none")
        assert opened.evaluate(READ)["texts"] == expected
        opened.route(f"**/{page.LANGUAGE}", lambda route: route.fulfill(body=b"12345678"))
        opened.goto(f"{address}?landmarks=none")
        opened.locator("#notice.warn").get_by_text("language.bin is not the one that model.json").wait_for()


DENIED = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', '{}'));"
# What is wrong, from the first moment on; what the page then says, before its camera is started or after.
WRONG = {
    "no SIMD": ("WebAssembly.validate = () => false;", "no WebAssembly SIMD", False),
    "no WebGL": ("HTMLCanvasElement.prototype.getContext = () => null;", "no WebGL", False),
    "no camera": (DENIED.format("NotFoundError"), "No camera was found", True),
    "refused": (DENIED.format("NotAllowedError"), "Allow it in the browser's settings", True),
    "in use": (DENIED.format("NotReadableError"), "used by another program", True),
    "not secure": (
        "Object.defineProperty(navigator, 'mediaDevices', {value: undefined});",
        "only to pages from https",
        True,
    ),
}


@browser.needed
@pytest.mark.long
def test_signs_come_with_their_probability(tmp_path, folder, command):
    """The model of the other task, whose frames are all 543 points: the page shows what the recognizer says."""
    from inference import export
    from pipeline import convert, synthesize
    from pipeline.dataset.dataset import Dataset
    from training import train

    data, dataset, run, model, made = (tmp_path / name for name in ("data", "dataset", "run", "model", "page"))
    synthesize.synthesize(data, task="isolated-signs", clips=36, signers=6, signs=3)
    command(convert, "--data", data, "--output", dataset, "--test-share", "0.2", "--workers", "1")
    changes = ["encoder.width=8", "encoder.heads=2", "optimizer.epochs=1", "optimizer.batch_size=8"]
    words = [word for change in [*changes, "optimizer.warmup_epochs=0"] for word in ("--set", change)]
    command(train, "--dataset", dataset, "--output", run, "--preset", "signs-small", *words)
    command(export, "--run", run, "--dataset", dataset, "--output", model, "--fixed-frames", 256)
    command(page, "--model", model, "--output", made)
    clips = [clip.landmarks for clip in Dataset.open(dataset).read("test")]
    expected = [Recognizer(model).recognize(clip) for clip in clips]
    with served(made) as address, browser.opened() as opened:
        opened.route("**/recorded.json", lambda route: route.fulfill(body=clips_of(clips[:1])))
        without_floor(opened)
        ready(opened, f"{address}?landmarks=recorded.json")
        opened.click("#start")
        opened.get_by_text("Finished.").wait_for()
        assert opened.locator("h1").inner_text() == "Isolated signs"
        said = opened.locator("#phrases li").last.inner_text()
        assert said.split() == [expected[0].label, f"{100 * expected[0].confidence:.0f}", "%"]


@browser.needed
@pytest.mark.long
def test_what_is_missing_is_said(address, tmp_path):
    """In words, with what to do; an address of the folder itself runs no script, and says so too."""
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with browser.opened(browser.PHONE, *WEBGL) as first:
        for script, said, start in WRONG.values():
            opened = first.context.browser.new_page()
            opened.add_init_script(script)
            opened.goto(address)
            if start:
                opened.locator("#start:enabled").click(timeout=60_000)
            opened.locator("#notice.warn").get_by_text(said).wait_for(timeout=60_000)
            opened.close()
        opened = first.context.browser.new_page()
        ready(opened, address)
        opened.locator("#chosen").set_input_files(tmp_path / "broken.mp4")
        opened.get_by_text("broken.mp4 cannot be decoded by this browser").wait_for()
        assert opened.get_by_role("button", name="Start camera").is_enabled()


# Of what is served: what is another, and what the page then says.
SPOILED = [
    ("model.json", lambda text: text.replace('"page": 1', '"page": 7'), "of another program or version"),
    ("model.json", lambda text: text.replace('"right_hand_3"', '"ankle_3"'), "reads ankle_3, which no camera shows"),
    ("model.json", lambda text: text[:50], "model.json is not there, or is none"),
    ("fixed.tflite", lambda text: text[:-9], "fixed.tflite is not the one that model.json"),
]


@browser.needed
def test_a_model_of_something_else(folder, address):
    with browser.opened() as first:
        for name, change, said in SPOILED:
            body = change((folder / name).read_bytes().decode("latin-1")).encode("latin-1")
            opened = first.context.browser.new_page()
            opened.route(f"**/{name}", lambda route, _, body=body: route.fulfill(body=body))
            opened.goto(f"{address}?landmarks=none")
            opened.locator("#notice.warn").get_by_text(said).wait_for()
            assert opened.locator("#start").is_disabled()
            opened.close()


@browser.needed
@pytest.mark.long
def test_opened_from_disk(folder):
    with pytest.raises(AssertionError, match="origin"), browser.opened() as opened:
        opened.goto((folder / "index.html").as_uri())
        opened.get_by_text("Browsers run it only from a web server").wait_for(timeout=10_000)
        assert opened.locator("#start").is_disabled()


@browser.needed
@pytest.mark.long
def test_at_thirty_frames_a_second_the_page_is_never_blocked(address, noise):
    """No frame is dropped, and no task of the page's thread takes 100 ms. Other work of the machine may: some tries."""
    clips = [noise(150, 1)]
    for _ in range(3):
        with browser.opened() as opened:
            opened.route("**/recorded.json", lambda route: route.fulfill(body=clips_of(clips)))
            ready(opened, f"{address}?landmarks=recorded.json")
            opened.evaluate("""() => {
              globalThis.blocked = [];
              new PerformanceObserver((list) => blocked.push(...list.getEntries().map((each) => each.duration)))
                .observe({entryTypes: ["longtask"]});
            }""")
            started = time.perf_counter()
            opened.click("#start")
            opened.get_by_text("Finished.").wait_for()
            seconds = time.perf_counter() - started
            blocked = opened.evaluate("blocked")
        print(f"{seconds:.1f} s, tasks over 50 ms: {blocked}")
        if max(blocked, default=0) < 100 and seconds < 7:
            return
    raise AssertionError(f"blocked for {max(blocked):.0f} ms")


@browser.needed
@pytest.mark.long
@pytest.mark.parametrize(("light", "said"), [(120, "Nobody is in the picture."), (20, "It is too dark to see a hand.")])
def test_a_camera(address, tmp_path, light, said):
    """Of a gray or nearly black picture; it is shown mirrored, and stops."""
    gray = bytes([light]) * (320 * 240) + bytes([128]) * (320 * 120)
    (tmp_path / "film.y4m").write_bytes(b"YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420jpeg\n" + 10 * (b"FRAME\n" + gray))
    film = f"--use-file-for-fake-video-capture={tmp_path / 'film.y4m'}"
    with browser.opened(browser.PHONE, *WEBGL, *CAMERA, film, "--use-fake-ui-for-media-stream") as opened:
        ready(opened, address)
        opened.click("#start")
        opened.get_by_text(said).wait_for(timeout=120_000)
        assert opened.locator("#stage.mirrored").count() == 1
        opened.get_by_role("button", name="Stop").click()
        opened.get_by_text("Stopped.").wait_for(timeout=60_000)
        assert opened.evaluate("document.getElementById('video').srcObject") is None


TRACK = """async ([rate, count]) => {
  const {Tracker} = await import("./tracker.js");
  const {placeOf, pointsOf} = await import("./points.js");
  const places = (await (await fetch("model.json")).json()).points.map(placeOf);
  const tracker = await Tracker.open();
  // As a chosen file: one that is served without ranges cannot be sought in.
  const src = URL.createObjectURL(await (await fetch("clip.mp4")).blob());
  const video = Object.assign(document.createElement("video"), {muted: true, src});
  await new Promise((resolve) => { video.onloadeddata = resolve; });
  const found = [];
  for (let i = 0; i < count; i += 1) {
    await new Promise((resolve) => { video.onseeked = resolve; video.currentTime = (i + 0.5) / rate; });
    found.push([...pointsOf(await tracker.track(video), places)].map((value) => (Number.isNaN(value) ? null : value)));
  }
  return found;
}"""
FIRST_FRAMES = """
import sys, numpy as np, pathlib
from pipeline.tracking import holistic
path, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
frames = [frame for frame, _ in zip(holistic.watch(path, False), range(count))]
np.savez(sys.argv[3], frames=frames, rate=holistic.look(path).rate)
"""


@browser.needed
@pytest.mark.long
@pytest.mark.parametrize("video", ["sign_a.mp4", "sign_b.mp4"])
def test_its_tracker_finds_what_pipeline_track_finds(address, tmp_path, video, count=24):
    python = ROOT / ".venv-track/bin/python"
    if not (VIDEOS / video).exists() or not python.exists():
        pytest.skip(f"NOT CHECKED: the page's tracker, for want of {VIDEOS / video} or of what scripts/track installs")
    words = [python, "-c", FIRST_FRAMES, VIDEOS / video, str(count), tmp_path / "found.npz"]
    subprocess.run(words, check=True, cwd=ROOT, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    with np.load(tmp_path / "found.npz") as arrays:
        whole, rate = arrays["frames"], float(arrays["rate"])
    from pipeline.dataset import writers
    from pipeline.tasks import body

    starts = {
        "face": writers.FACE,
        "left_hand": writers.LEFT_HAND,
        "pose": writers.POSE,
        "right_hand": writers.RIGHT_HAND,
    }
    parts = [name.rpartition("_") for name in body.POINTS.names]
    expected = whole[:, [starts[part].start + int(number) for part, _, number in parts], :2]
    with browser.opened(browser.DESKTOP, *WEBGL) as opened:
        opened.route("**/clip.mp4", lambda route: route.fulfill(path=VIDEOS / video, content_type="video/mp4"))
        opened.goto(f"{address}?landmarks=none")
        opened.set_default_timeout(0)
        values = opened.evaluate(TRACK, [rate, len(expected)])
    found = np.array(values, np.float32).reshape(expected.shape)
    distance = np.linalg.norm(found - expected, axis=-1)
    both = np.isfinite(distance)
    hands = [np.isfinite(each[:, body.POINTS.wrists, 0]).any(axis=1) for each in (found, expected)]
    print(
        f"{video}: median {np.median(distance[both]):.4f}, P95 {np.percentile(distance[both], 95):.4f}; frames with a"
    )
    print(f"hand {hands[0].sum()} and {hands[1].sum()} of {len(found)}, the same in {(hands[0] == hands[1]).sum()}")
    assert both.mean() > 0.4
    assert np.median(distance[both]) <= 0.02
    for group in body.POINTS.groups.values():
        if both[:, group].any():
            assert np.median(distance[:, group][both[:, group]]) <= 0.02
