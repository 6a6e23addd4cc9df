"""Where a Beam job runs: on this machine, on a Dask cluster, or on Google Cloud Dataflow.

Every command that makes shards takes the same options: `add_options` declares them, `from_arguments` reads them.
Beam is imported only when there is something to run, since that takes seconds.
"""

import argparse
import contextlib
import dataclasses
import logging
import os
import pathlib
import queue
import re
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.beam import worker
from pipeline.common import arguments, errors, progress
from pipeline.common.errors import UserError
from pipeline.common.temporary import temporary_folder

if TYPE_CHECKING:
    import apache_beam as beam

LOCAL, DASK, DATAFLOW = "local", "dask", "dataflow"

# Names of Dataflow's options among those of a command, and those without which there is no job.
_PREFIX = "dataflow_"
_REQUIRED = ("project", "region", "temp_location")
# Those of streaming jobs and templates: there is neither.
_USELESS = ("update", "transform_name_mapping", "create_from_snapshot", "enable_streaming_engine", "template_location")
_CONNECT_SECONDS = 20

_ENDING_SECONDS = 2.0
# What makes another worker on this machine pay: see the table in the package's README.
_MEGABYTES_OF_A_WORKER = 500
_FILES_OF_A_WORKER = 300
_WORKER_THREAD = "run_worker"  # Beam's name for a thread that looks after a worker process


@dataclasses.dataclass(frozen=True)
class Runner:
    """Where shards are made.

    Attributes:
      name: one of `LOCAL`, `DASK`, `DATAFLOW`.
      workers: processes on this machine; None: as many as pay. Where there is a cluster, it decides.
      dask_address: of a Dask scheduler; None starts a cluster of `workers` processes on this machine.
      beam: options of Dataflow, by Beam's names.
    """

    name: str = LOCAL
    workers: int | None = 1
    dask_address: str | None = None
    beam: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares the options; with `--runner dataflow` on the command line, Dataflow's as well."""
    group = parser.add_argument_group("where it runs")
    group.add_argument(
        "--runner",
        choices=(LOCAL, DASK, DATAFLOW),
        default=LOCAL,
        help="this machine; a Dask cluster; Google Cloud (--runner dataflow --help lists its options)",
    )
    group.add_argument(
        "--workers",
        type=arguments.positive,
        help="processes on this machine: as many as pay, one a core at most, if not given; not for a cluster elsewhere",
    )
    group.add_argument(
        "--dask-address",
        metavar="tcp://HOST:PORT",
        help="the Dask scheduler, for --runner dask; a cluster on this machine if not given. Its workers need this"
        " package and the same paths",
    )
    first_look = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first_look.add_argument("--runner")
    with contextlib.suppress(argparse.ArgumentError):
        if first_look.parse_known_args()[0].runner == DATAFLOW:
            _add_dataflow_options(parser)


def _add_dataflow_options(parser: argparse.ArgumentParser) -> None:
    from apache_beam.options import pipeline_options as beam_options

    group = parser.add_argument_group(
        "Dataflow",
        "Beam's own options. A job needs a project, a region and a temporary location; the rest is to tune it.",
    )
    for kind in (
        beam_options.GoogleCloudOptions,
        beam_options.WorkerOptions,
        beam_options.SetupOptions,
        beam_options.DebugOptions,
    ):
        kind._add_argparse_args(_BeamOptions(group))


class _BeamOptions:
    """Stands in for the parser to which a class of Beam's adds its options.

    They can be spelt with dashes, as ours are, or as Beam's are. What is not on the command line is left out, so that
    Beam's own defaults hold.
    """

    def __init__(self, group: Any):
        self._group = group

    def add_argument(self, *names: str, **settings: Any) -> None:
        name = settings.get("dest", names[0].lstrip("-"))
        if name in _USELESS:
            return
        if settings.get("action") not in ("store_true", "store_false") and "choices" not in settings:
            settings.setdefault("metavar", name.upper())
        settings |= {"dest": _PREFIX + name, "default": argparse.SUPPRESS, "required": name in _REQUIRED}
        spellings = [spelling for each in names for spelling in (each.replace("_", "-"), each)]
        self._group.add_argument(*dict.fromkeys(spellings), **settings)


def from_arguments(args: argparse.Namespace, *, places: Sequence[object]) -> Runner:
    """The runner that `add_options` let the user choose.

    Args:
      places: the directories that the workers read and write.

    Raises:
      UserError: the options do not fit together, or a worker would not reach a place.
    """
    if args.dask_address and args.runner != DASK:
        raise UserError(
            f"--dask-address has no meaning with --runner {args.runner}: add --runner {DASK}, or leave it out"
        )
    if args.runner != DATAFLOW:
        return Runner(args.runner, args.workers, args.dask_address)
    for place in places:
        if not str(place).startswith("gs://"):
            raise UserError(f"{place} is on this machine, which Dataflow's workers cannot reach: name a gs:// path")
    given = {name.removeprefix(_PREFIX): value for name, value in vars(args).items() if name.startswith(_PREFIX)}
    runner = Runner(DATAFLOW, beam=_completed(given))
    _check(runner)
    return runner


def _completed(given: dict[str, Any]) -> dict[str, Any]:
    """The options of a job where some are left out."""
    # Nothing of the launcher's main module is needed: what workers call lives in modules that they install.
    settings = {"save_main_session": False, "staging_location": given["temp_location"]} | given
    if not {"setup_file", "extra_packages", "sdk_container_image"} & settings.keys():
        setup = pathlib.Path(__file__).parents[2] / "setup.py"
        if not setup.is_file():
            raise UserError(f"{setup} is not there: name this program's with --setup-file, workers install it from it")
        settings["setup_file"] = str(setup)
    return settings


def _check(runner: Runner) -> None:
    """Raises `UserError` for options that Dataflow would refuse. Asks nobody in the cloud."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

    for name in ("temp_location", "staging_location"):
        # Where one is wrong, Beam takes the other, or makes a bucket.
        if not re.fullmatch(r"gs://[a-z0-9][-_a-z0-9.]+[a-z0-9]/.+", runner.beam[name]):
            raise UserError(f"--{name.replace('_', '-')} {runner.beam[name]}: expected gs://BUCKET/FOLDER")
    options = PipelineOptions([], **runner.beam, dry_run=True)
    errors = PipelineOptionsValidator(options, DataflowRunner()).validate()
    if errors:
        raise UserError(f"Dataflow: {' '.join(errors)}")


def workers_that_pay(megabytes: float, files: int) -> int:
    """One a core at most: each takes some three seconds to start, which pays where it finds that much to do."""
    return min(os.cpu_count() or 1, 1 + int(megabytes / _MEGABYTES_OF_A_WORKER + files / _FILES_OF_A_WORKER))


def run(runner: Runner, transform: "beam.PTransform", elements: Sequence[Any]) -> None:
    """Runs `Create(elements) | transform` to its end.

    Raises:
      UserError: the runner cannot be reached or gave up.
      Exception: what a worker raised.
    """
    with _quiet(), _tidy():
        if runner.name == LOCAL:
            _run_here(transform, elements, min(runner.workers or 1, len(elements)))
        elif runner.name == DASK:
            _run_on_dask(transform, elements, runner)
        else:
            _run_on_dataflow(transform, elements, runner)


def _run_here(transform: "beam.PTransform", elements: Sequence[Any], workers: int) -> None:
    if workers > 1:
        _run_with_processes(transform, elements, workers)
        return
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    try:
        # Named explicitly: Beam's default runner may fetch another program from the network.
        _run_with_beam(FnApiRunner(), PipelineOptions([]), transform, elements)
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, KeyboardInterrupt):  # Beam wraps it
                raise KeyboardInterrupt from None
            cause = cause.__context__
        raise


def _run_with_processes(transform: "beam.PTransform", elements: Sequence[Any], workers: int) -> None:
    """In a thread, as Beam is slow to notice Ctrl-C, and waits for ever for a worker process that died.

    It tells of such a death in the exception that ends the thread which looks after that worker, and nowhere else.
    """
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    outcomes: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            options = PipelineOptions([], direct_num_workers=workers)
            _run_with_beam(FnApiRunner(environment), options, transform, elements)
            outcomes.put(None)
        except BaseException as error:
            outcomes.put(error)

    def thread_ended(arguments: threading.ExceptHookArgs) -> None:
        if arguments.thread is not None and arguments.thread.name == _WORKER_THREAD:
            outcomes.put(
                UserError(
                    f"a worker process died ({arguments.exc_value}), perhaps for want of memory: the same command makes"
                    " only the rest, with --workers 1 in the least memory"
                )
            )

    before = set(threading.enumerate())
    hook, threading.excepthook = threading.excepthook, thread_ended
    try:
        with temporary_folder() as alive:
            # Beam's own way to ask for processes takes no path with a space to Python.
            environment = SubprocessSDKEnvironment.from_command_string(worker.command(alive))
            threading.Thread(target=run, daemon=True).start()
            outcome = outcomes.get()
        if outcome is not None:
            raise outcome
    finally:
        # After a failure Beam's threads complain as they end: wait for that, but not for ever.
        deadline = time.monotonic() + _ENDING_SECONDS
        for thread in set(threading.enumerate()) - before:
            thread.join(None if thread.name == _WORKER_THREAD else max(0.0, deadline - time.monotonic()))
        threading.excepthook = hook


def _run_with_beam(beam_runner: Any, options: Any, transform: "beam.PTransform", elements: Sequence[Any]) -> None:
    import apache_beam as beam

    with beam.Pipeline(runner=beam_runner, options=options) as graph:
        _ = graph | beam.Create(elements) | transform


def _run_on_dask(transform: "beam.PTransform", elements: Sequence[Any], runner: Runner) -> None:
    import apache_beam as beam
    import distributed
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.dask.dask_runner import DaskRunner

    with contextlib.ExitStack() as stack:
        address = runner.dask_address or stack.enter_context(_dask_cluster(min(runner.workers or 1, len(elements))))
        try:
            client = stack.enter_context(distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False))
        except (OSError, ValueError) as error:
            raise UserError(f"no Dask scheduler at {address}: {errors.reason(error)}") from error
        if not client.scheduler_info()["workers"]:
            raise UserError(f"the Dask scheduler at {address} has no workers: start some")
        try:
            client.run(exec, "import pipeline.beam.transform")
        except ImportError as error:
            said = errors.reason(error)
            raise UserError(f"workers at {address} lack a package ({said}): install this program there") from error
        # One partition an element: a partition is one worker's, and by default takes 128.
        options = PipelineOptions([], address=address, npartitions=len(elements))
        graph = beam.Pipeline(runner=DaskRunner(), options=options)
        _ = graph | beam.Create(elements) | transform
        result: Any = graph.run()
        stack.callback(result.client.close)
        try:
            result.wait_until_finish()
        except distributed.KilledWorker as error:
            raise UserError(f"Dask's workers died of it, perhaps for want of memory: {errors.reason(error)}") from error


@contextlib.contextmanager
def _dask_cluster(workers: int) -> Iterator[str]:
    """Yields the address of a cluster on this machine."""
    import distributed

    # Its processes take over that Ctrl-C is ignored: the launcher has the say.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        cluster = distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        )
    finally:
        signal.signal(signal.SIGINT, handler)
    with cluster:
        yield cluster.scheduler_address


def _run_on_dataflow(transform: "beam.PTransform", elements: Sequence[Any], runner: Runner) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner, DataflowRuntimeException
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError

    project, region = runner.beam["project"], runner.beam["region"]
    try:
        graph = beam.Pipeline(runner=DataflowRunner(), options=PipelineOptions([], **runner.beam))
        _ = graph | beam.Create(elements) | transform
        job: Any = graph.run()
        progress.console.print(
            f"Dataflow job {job.job_id()}: https://console.cloud.google.com/dataflow/jobs/{region}/{job.job_id()}"
            f"?project={project}\nIt continues when this command is interrupted; to stop it:"
            f" gcloud dataflow jobs cancel {job.job_id()} --project {project} --region {region}"
        )
        job.wait_until_finish()
    except DataflowRuntimeException as error:
        said = str(error).strip().splitlines()  # the state, and the traceback of a worker, if it got as far
        raise UserError(f"{said[0]} {said[-1]}; its log tells more; finished shards stay") from error
    except (GoogleAPIError, GoogleAuthError, OSError) as error:
        raise UserError(f"Dataflow job in {project}, {region}: {errors.reason(error)}") from error


@contextlib.contextmanager
def _tidy() -> Iterator[None]:
    """Beam leaves files where temporary ones are made: within the block, in a folder that goes with it."""
    with temporary_folder() as folder:
        tempfile.tempdir = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Beam's remarks on its own workings are no use to someone who waits for data; its errors are exceptions too."""
    logger = logging.getLogger("apache_beam")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)
