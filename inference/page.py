"""Makes a page that reads from a camera, in the browser alone: a folder of static files for any web server.

    python -m inference.page --model out/model --output out/page --serve
    python -m inference.page --model out/model --output out/page

--serve shows it on this machine, at an address that only this machine reaches, until Ctrl-C. On another web server
(https://, or browsers give no camera) the folder is copied as it is; it fetches nothing from elsewhere, and nothing
leaves the browser. The model is one exported with --fixed-frames, of a task whose points are those of MediaPipe
Holistic. The page's libraries come from npm once, and need Node.js for that; afterwards from this machine's cache.
"""

import argparse
import functools
import http.server
import pathlib
import shutil
import threading
import webbrowser
from typing import Any

import numpy as np

from inference import language, libraries
from inference.decoder import RATE
from inference.language import Language
from inference.recognizer import read_manifest
from inference.window import FIXED, Window, read
from pipeline import tasks
from pipeline.common import directories, native_output, progress, storage
from pipeline.common.arguments import Parser, command, path, positive
from pipeline.common.errors import UserError, run
from pipeline.tasks import body
from pipeline.tasks.task import Task

KIND = directories.Kind("page", made_by="inference.page")
VERSION = 1  # of model.json, which main.js checks
DESCRIPTION = "model.json"
LANGUAGE = "language.bin"
_SUFFIXES = (".html", ".css", ".svg", ".js")


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument("--model", type=path, required=True, help="directory made by inference.export --fixed-frames N")
    parser.add_argument("--output", type=path, required=True, help="directory for the page: new, or unfinished")
    parser.add_argument("--greedy", action="store_true", help="read by the network alone, without its language model")
    parser.add_argument("--serve", action="store_true", help="show it in this machine's browser, until Ctrl-C")
    parser.add_argument("--port", type=functools.partial(positive, most=65_535), default=8000, help="of --serve")
    arguments = parser.parse_args()
    make(arguments)
    if arguments.serve:
        serve(arguments.output, arguments.port)
    else:
        given = command("--model", arguments.model, "--output", arguments.output)
        given += " --greedy" * arguments.greedy
        progress.next_step(f"python -m inference.page {given} --serve")


def make(arguments: argparse.Namespace) -> None:
    if not isinstance(arguments.output, pathlib.Path):
        raise UserError(f"{arguments.output}: a page is made on this machine: name a directory here, and copy that")
    manifest = read_manifest(arguments.model)
    sources = sorted(file for file in libraries.WEB.iterdir() if file.suffix in _SUFFIXES)
    if FIXED not in manifest["files"]:
        raise UserError(f"{arguments.model} has no {FIXED}: export it again with --fixed-frames, such as 512")
    check_task(tasks.from_json(manifest.get("task"), arguments.model / directories.MANIFEST), arguments.model)
    settings = {
        "model": manifest["files"][FIXED],
        "language": None if arguments.greedy else manifest["files"].get(language.FILE_NAME),
        "files": {file.name: directories.sha256_of(file) for file in [*sources, libraries.LISTED]},
    }
    request = directories.Request(KIND, settings)
    if directories.prepare(arguments.output, request):
        return
    with native_output.without_remarks():
        window = Window(arguments.model)
    names = [*(file.name for file in sources), *libraries.copy(arguments.output)]
    for file in sources:
        shutil.copyfile(file, arguments.output / file.name)
    (arguments.output / FIXED).write_bytes(read(arguments.model))
    description = describe(window) | {"model_sha256": directories.sha256_of(arguments.output / FIXED)}
    names += [FIXED, DESCRIPTION]
    if window.language and not arguments.greedy:
        description["language"] = write_language(window.language, arguments.output / LANGUAGE)
        names.append(LANGUAGE)
    directories.write_json(arguments.output / DESCRIPTION, description)
    size = sum((arguments.output / name).stat().st_size for name in names)
    directories.complete(arguments.output, request, {"bytes": size}, files=names)
    print(f"{arguments.output}: {len(names)} files, {size / 1e6:.1f} MB")


def check_task(task: Task, model: storage.AnyPath) -> None:
    """Raises a `UserError` for a task that is not read from a picture of a person."""
    if task.points is not body.POINTS:
        raise UserError(
            f"{model} is of the task {task.name}, which no camera shows: its points are not those of"
            " hands, face and body"
        )


def write_language(given: Language, file: pathlib.Path) -> dict[str, Any]:
    """Writes the n-grams as the page reads them: all numbers as float64, then all counts as uint32, little-endian.

    Returns:
      What the page has to know of it. Of up to five classes of some sixty the numbers are whole ones in float64, too.
    """
    grams = given.grams
    numbers, counts = np.concatenate(grams.grams), np.concatenate(grams.counts)
    file.write_bytes(numbers.astype("<f8").tobytes() + counts.astype("<u4").tobytes())
    sizes = [len(each) for each in grams.grams]
    own = {"file": file.name, "sha256": directories.sha256_of(file), "sizes": sizes}
    return own | {"classes": grams.num_classes, "weight": given.weight, "bonus": given.bonus}


def describe(window: Window) -> dict[str, Any]:
    """What the page has to know of a model."""
    task = window.task
    return {
        "page": VERSION,
        "title": task.name.replace("-", " ").capitalize(),
        "classes": list(task.classes),
        "filler": task.contract.filler,
        "points": list(task.points.names),
        "wrists": task.points.wrists,
        "rate": RATE,
        "model": FIXED,
        "window": window.frames,
        "frame": list(task.contract.frame),
        "index": task.contract.index.ravel().tolist(),
    }


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012  # as in its base
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # a page that is made again is another
        super().end_headers()

    def log_message(self, *_) -> None:
        pass


def serve(folder: storage.AnyPath, port: int) -> None:
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise UserError(f"port {port} of this machine: {error.strerror}: choose another with --port") from error
    with server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"{address} (Ctrl-C ends it)", flush=True)
        # On a thread: a browser of the terminal waits for an answer.
        threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    run(main)
