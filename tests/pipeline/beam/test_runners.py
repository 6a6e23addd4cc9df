import contextlib
import dataclasses
import errno
import json
import logging
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import threading
import time

import pytest

from pipeline import convert, import_tfrecords
from pipeline import filter as filter_command
from pipeline.beam import conversion, runners, transform
from pipeline.beam.runners import DASK, DATAFLOW, Runner
from pipeline.common import arguments, directories, progress, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import sharding
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.sharding import ShardWriter
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.fingerspelling import Fingerspelling

ROOT = pathlib.Path(__file__).parents[3]
MEGABYTE = 1 << 20
CLOUD = ["--runner", "dataflow", "--project", "a-project", "--region", "europe-west4"]
CLOUD_PLACES = ["gs://bucket/data", "gs://bucket/out"]


def from_arguments(monkeypatch, *words, places=("data", "out")):
    monkeypatch.setattr(sys, "argv", ["command", *words])
    parser = arguments.Parser("A command.")
    runners.add_options(parser)
    return runners.from_arguments(parser.parse_args(), places=places)


def in_the_cloud(monkeypatch, *words, places=CLOUD_PLACES):
    return from_arguments(monkeypatch, *CLOUD, "--temp-location", "gs://bucket/temp", *words, places=places)


def test_this_machine_is_the_default(monkeypatch):
    assert from_arguments(monkeypatch) == Runner("local", None)
    words = ["--runner", "dask", "--dask-address", "tcp://a:1", "--workers", "3"]
    assert from_arguments(monkeypatch, *words) == Runner(DASK, 3, "tcp://a:1")


def test_options_that_do_not_fit(monkeypatch):
    with pytest.raises(UserError, match="--dask-address has no meaning with --runner local: add --runner dask"):
        from_arguments(monkeypatch, "--dask-address", "tcp://a:1")
    with pytest.raises(
        UserError, match=r"^out is on this machine, which Dataflow's workers cannot reach: name a gs://"
    ):
        in_the_cloud(monkeypatch, places=["gs://bucket/data", "out"])
    with pytest.raises(UserError, match="--temp-location /tmp/a: expected gs://BUCKET/FOLDER"):
        in_the_cloud(monkeypatch, "--temp-location", "/tmp/a")
    with pytest.raises(UserError, match="--staging-location gs://bucket: expected gs://BUCKET/FOLDER"):
        in_the_cloud(monkeypatch, "--staging-location", "gs://bucket")
    with pytest.raises(UserError, match=r"num_workers \(9\) cannot exceed max_num_workers \(2\)"):
        in_the_cloud(monkeypatch, "--num-workers", "9", "--max-num-workers", "2")
    with pytest.raises(UserError, match=r"Invalid Project ID \(12\)"):
        in_the_cloud(monkeypatch, "--project", "12")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (CLOUD[:2], "are required: --project, --temp-location/--temp_location, --region;"),
        ([*CLOUD, "--temp-locaton", "gs://a/b"], "(did you mean --temp-location instead of --temp-locaton?)"),
        ([*CLOUD, "--temp_location", "gs://a/b", "--num_workers", "a"], "not a whole number: 'a'"),
        (["--project", "a"], "unrecognized arguments: --project a;"),
    ],
)
def test_mistakes_in_the_options_of_dataflow(monkeypatch, capsys, words, message):
    with pytest.raises(SystemExit, match="2"):
        from_arguments(monkeypatch, *words)
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", [convert, filter_command, import_tfrecords])
def test_the_help_of_every_command_lists_the_options_of_dataflow(monkeypatch, capsys, command):
    """And no option of its own has the same name."""
    monkeypatch.setattr(sys, "argv", ["command", "--runner", "dataflow", "--help"])
    with pytest.raises(SystemExit, match="0"):
        command.main()
    listed = capsys.readouterr().out
    for name in (
        "temp-location",
        "temp_location",
        "worker-machine-type",
        "machine_type",
        "max-num-workers",
        "setup-file",
    ):
        assert f"--{name}" in listed
    for name in ("service-account-email", "disk-size-gb", "network", "subnetwork", "no-use-public-ips", "experiments"):
        assert f"--{name}" in listed


def test_only_what_was_given_travels_to_dataflow(monkeypatch):
    setup = str(ROOT / "setup.py")
    runner = in_the_cloud(
        monkeypatch, "--no_use_public_ips", "--experiments", "a,b=1", "--machine_type", "n2-highcpu-4"
    )
    assert runner.name == DATAFLOW
    assert runner.beam == {
        "project": "a-project",
        "region": "europe-west4",
        "temp_location": "gs://bucket/temp",
        "staging_location": "gs://bucket/temp",
        "use_public_ips": False,
        "experiments": ["a", "b=1"],
        "machine_type": "n2-highcpu-4",
        "setup_file": setup,
        "save_main_session": False,
    }
    assert "setup_file" not in in_the_cloud(monkeypatch, "--sdk-container-image", "an/image").beam


@dataclasses.dataclass
class Meet:
    """Makes empty shards, each only once a second process has begun one as well."""

    directory: pathlib.Path

    def __call__(self, shard):
        met = self.directory / "met"
        met.mkdir(exist_ok=True)
        (met / str(os.getpid())).touch()
        give_up = time.monotonic() + 60
        while len(list(met.iterdir())) < 2:
            assert time.monotonic() < give_up, "all shards are on one worker"
            time.sleep(0.01)
        with ShardWriter(self.directory, shard, Fingerspelling()):
            pass


@pytest.fixture(scope="module")
def dask_address():
    """Of a cluster of two worker processes."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


def test_dask_spreads_the_shards_over_its_workers(tmp_path, dask_address):
    names = list("abcdef")
    request = directories.Request("dataset", {"files": dict.fromkeys(names, 1), "shards": [[name] for name in names]})
    directories.prepare(tmp_path, request)
    runner = Runner(DASK, dask_address=dask_address)
    reports = transform.make_shards(
        Meet(tmp_path),
        request,
        sharding.shards_of(request),
        directory=tmp_path,
        runner=runner,
        clips=0,
        title="testing",
    )
    assert len(reports) == len(names)
    processes = {int(path.name) for path in (tmp_path / "met").iterdir()}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_a_cluster_of_dask_gives_the_same_as_one_process(toy_data, toy_dataset, tmp_path, dask_address, monkeypatch):
    """Also where a path is relative: the workers' current folder is another."""
    monkeypatch.chdir(tmp_path)
    rule, runner = SplitRule(test_signers=(3,)), Runner(DASK, dask_address=dask_address)
    conversion.convert(toy_data, pathlib.Path("out"), rule, num_shards=None, runner=runner)
    one, found = Dataset.open(toy_dataset), Dataset.open(tmp_path / "out")
    assert found.manifest["content"] == one.manifest["content"]
    for shard in found.manifest["shards"]:
        for file in shard["files"]:
            path = sharding.RecordName.parse(file["name"]).path
            assert path(found.path).read_bytes() == path(one.path).read_bytes()


def test_a_mistake_on_dask_is_one_line(tmp_path, kaggle_data):
    """On a cluster of its own."""
    data = kaggle_data()
    (data / "train_landmarks/2.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        UserError, match=r"2\.parquet.*; finished shards stay: run the same command again to make the rest"
    ):
        conversion.convert(data, tmp_path / "out", SplitRule(), num_shards=None, runner=Runner(DASK, workers=2))
    assert len(list((tmp_path / "out/reports").glob("*.json"))) == 2


def test_no_scheduler(monkeypatch, tmp_path):
    monkeypatch.setattr(runners, "_CONNECT_SECONDS", 1)
    with pytest.raises(UserError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:1: "):
        runners.run(Runner(DASK, dask_address="tcp://127.0.0.1:1"), None, [1])


class Dataflow:
    """Stands in for the service: takes a job, and is done with it at once.

    Attributes:
      job: the request, as JSON data.
      staged: the files that the launcher put in the bucket, by name.
      state: how the job ends.
      work: what is done meanwhile.
    """

    job: dict
    state = "JOB_STATE_DONE"

    def __init__(self):
        self.staged = {}
        self.work = lambda: None

    def stage(self, _, folder, name, source, **__):
        assert folder.startswith("gs://bucket/temp/")
        self.staged[name] = pathlib.Path(source).read_bytes() if isinstance(source, str) else source.read()

    def submit(self, _, job):
        from google.cloud import dataflow

        self.job = json.loads(job.json())
        self.work()
        return dataflow.Job(id="job-1", current_state=dataflow.JobState[self.state])


@pytest.fixture
def dataflow(monkeypatch):
    apiclient = pytest.importorskip("apache_beam.runners.dataflow.internal.apiclient")
    from apache_beam.options.pipeline_options import GoogleCloudOptions

    service = Dataflow()
    client = apiclient.DataflowApplicationClient
    monkeypatch.setattr(client, "stage_file_with_retry", lambda *args, **kwargs: service.stage(*args, **kwargs))
    monkeypatch.setattr(client, "submit_job_description", lambda *args: service.submit(*args))
    monkeypatch.setattr(GoogleCloudOptions, "_warn_if_soft_delete_policy_enabled", lambda *_: None)
    return service


def a_transform(data: AnyPath, output: AnyPath):
    return transform.MakeShards(
        conversion.ConvertShard(data, data, output, Fingerspelling(), (("train.csv", "0" * 64),), SplitRule()),
        output,
        "f" * 64,
    )


def test_the_request_of_a_job(monkeypatch, dataflow):
    words = ["--no-auth", "--machine-type", "n2-highcpu-4", "--num-workers", "3", "--max-num-workers", "17"]
    words += ["--service-account-email", "me@a.iam", "--disk-size-gb", "40", "--subnetwork", "regions/a/subnetworks/b"]
    words += ["--no-use-public-ips", "--staging-location", "gs://bucket/temp/staging", "--experiments", "x=1"]
    words += ["--sdk-container-image", "an/image"]
    runner = in_the_cloud(monkeypatch, *words)
    # As many files as the isolated signs have.
    sizes = {f"train_landmark_files/{i % 21}/{i}.parquet": 500_000 + i for i in range(94_477)}
    plan = sharding.plan(sizes, conversion.MOST_SHARDS)
    with progress.console.capture() as captured:
        runners.run(runner, a_transform(*map(storage.path, CLOUD_PLACES)), range(len(plan)))
    assert len(plan) == conversion.MOST_SHARDS
    assert len(dataflow.staged["pipeline.pb"]) < MEGABYTE / 10
    assert len(json.dumps(dataflow.job)) < MEGABYTE / 10
    assert "https://console.cloud.google.com/dataflow/jobs/europe-west4/job-1?project=a-project" in captured.get()
    assert "gcloud dataflow jobs cancel job-1 --project a-project --region europe-west4" in captured.get()
    environment = dataflow.job["environment"]
    assert environment["serviceAccountEmail"] == "me@a.iam"
    assert environment["tempStoragePrefix"].startswith("storage.googleapis.com/bucket/temp/")
    assert "x=1" in environment["experiments"]
    (pool,) = environment["workerPools"]
    assert pool["machineType"] == "n2-highcpu-4"
    assert (pool["numWorkers"], pool["autoscalingSettings"]["maxNumWorkers"]) == (3, 17)
    assert (pool["diskSizeGb"], pool["subnetwork"]) == (40, "regions/a/subnetworks/b")
    assert pool["ipConfiguration"] == "WORKER_IP_PRIVATE"
    assert pool["workerHarnessContainerImage"] == "an/image"
    assert dataflow.job["type"] == "JOB_TYPE_BATCH"


def test_the_launcher_waits_for_the_job_and_finishes_the_dataset(kaggle_data, tmp_path, dataflow, monkeypatch):
    """The job does what a worker does, here: one shard fails for the user's mistake, and at the next try none."""
    data, output = kaggle_data(), tmp_path / "out"
    file = data / "train_landmarks/2.parquet"
    good = file.read_bytes()
    file.write_bytes(good[:-50] + bytes(50))
    runner = in_the_cloud(monkeypatch, "--no-auth", "--sdk-container-image", "an/image")
    launch = runners.run

    def run(runner, transform, numbers):
        dataflow.work = lambda: [transform._attempt(number) for number in numbers]
        launch(runner, transform, numbers)

    monkeypatch.setattr(runners, "run", run)
    with pytest.raises(UserError, match=r"2\.parquet.*finished shards stay"):
        conversion.convert(data, output, SplitRule(), num_shards=None, runner=runner)
    file.write_bytes(good)
    conversion.convert(data, output, SplitRule(), num_shards=None, runner=runner)
    assert Dataset.open(output).manifest["written"] == 12


def test_a_job_that_fails_is_one_line(dataflow, monkeypatch):
    runner = in_the_cloud(monkeypatch, "--no-auth", "--sdk-container-image", "an/image")
    dataflow.state = "JOB_STATE_FAILED"
    with pytest.raises(
        UserError,
        match=r"^Dataflow pipeline failed\. State: FAILED, Error: None; its log tells more; finished shards stay$",
    ):
        runners.run(runner, a_transform(*map(storage.path, CLOUD_PLACES)), [0])

    def fail():
        raise OSError(errno.ENETUNREACH, "no network")

    dataflow.work = fail
    with pytest.raises(UserError, match=r"^Dataflow job in a-project, europe-west4: no network$"):
        runners.run(runner, a_transform(*map(storage.path, CLOUD_PLACES)), [0])


# What a worker does with a job: it installs the package and calls the function that the graph carries.
WORKER = """
import sys
package, site_packages, graph, number = sys.argv[1:]
sys.path[:0] = [package, site_packages]

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "jax", "Levenshtein", "ai_edge_litert", "distributed"):
            raise ModuleNotFoundError(f"no {name} on a worker", name=name)

sys.meta_path.insert(0, Absent())
from apache_beam.internal import pickler
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

pipeline = api.Pipeline.FromString(open(graph, "rb").read())
payloads = [
    api.ParDoPayload.FromString(each.spec.payload).do_fn.payload
    for each in pipeline.components.transforms.values()
    if each.spec.urn == common_urns.primitives.PAR_DO.urn and "_attempt" in each.unique_name
]
(payload,) = payloads
do_fn = pickler.loads(payload)[0]
list(do_fn.process(int(number)))
import pipeline
assert pipeline.__file__.startswith(package), pipeline.__file__
assert not {"tensorflow", "keras"} & sys.modules.keys()
"""


def test_the_package_that_workers_install_makes_a_shard(monkeypatch, dataflow, kaggle_data, tmp_path):
    # A copy: Beam builds the package in place.
    source = tmp_path / "source"
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(git, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name.partition("/")[0] in ("pipeline", "training", "inference", "setup.py", "pyproject.toml", "README.md"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())

    data, expected, output = kaggle_data(), tmp_path / "expected", tmp_path / "out"
    rule = SplitRule(test_signers=(3,))
    conversion.convert(data, expected, rule, num_shards=None, runner=Runner())
    runner = in_the_cloud(monkeypatch, "--no-auth", "--setup-file", str(source / "setup.py"))
    with pytest.raises(UserError, match="was not finished"):
        conversion.convert(data, output, rule, num_shards=None, runner=runner)

    (tmp_path / "workflow.tar.gz").write_bytes(dataflow.staged["workflow.tar.gz"])
    with tarfile.open(tmp_path / "workflow.tar.gz") as package:
        names = {name.partition("/")[2] for name in package.getnames()}
    wanted = {path.relative_to(source).as_posix() for path in source.rglob("*.py")}
    assert wanted <= names
    assert {"setup.py", "pyproject.toml", "pipeline/synthesis/__init__.py"} <= names
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    install += ["--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run([*install, "--target", tmp_path / "site", tmp_path / "workflow.tar.gz"], check=True)
    (tmp_path / "pipeline.pb").write_bytes(dataflow.staged["pipeline.pb"])
    import apache_beam

    site_packages = pathlib.Path(apache_beam.__file__).parents[1]
    arguments = [tmp_path / "site", site_packages, tmp_path / "pipeline.pb", "1"]
    # Isolated: neither this directory nor PYTHONPATH nor the user's packages are looked at.
    subprocess.run([sys.executable, "-I", "-c", WORKER, *arguments], check=True, cwd=tmp_path)
    (made,) = (output / "reports").iterdir()
    assert made.name == "00001-of-00003.json"
    assert made.read_bytes() == (expected / "reports" / made.name).read_bytes()
    for file in (output / "shards").iterdir():
        assert file.read_bytes() == (expected / "shards" / file.name).read_bytes()
    assert len(list((output / "shards").iterdir())) >= 2


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(number):
    raise ZeroDivisionError("ours")


def end(number):
    pass


@pytest.fixture
def assert_put_back():
    """What a run changes in this process, which may go on: as a test does, or a notebook."""
    logger = logging.getLogger("apache_beam")
    before = threading.excepthook, logger.level
    logger.setLevel(logging.INFO)

    def check():
        assert threading.excepthook is before[0]
        assert logger.level == logging.INFO

    yield check
    threading.excepthook = before[0]
    logger.setLevel(before[1])


@pytest.mark.parametrize(
    ("workers", "function", "error"),
    [
        (1, end, None),
        (2, end, None),
        (1, fail, "ours"),
        (2, fail, "ours"),
        (2, die, "a worker process died .* code -9"),
    ],
)
def test_a_run_leaves_nothing_changed(assert_put_back, workers, function, error):
    import apache_beam as beam

    with pytest.raises(Exception, match=error) if error else contextlib.nullcontext():
        runners.run(Runner(workers=workers), beam.Map(function), [1, 2])
    assert_put_back()


@pytest.mark.parametrize(
    ("megabytes", "files", "expected"),
    [(0, 0, 1), (81, 6, 1), (450, 200, 2), (573, 6, 2), (70_000, 60, 4), (9, 6400, 4)],
)
def test_as_many_workers_as_pay(megabytes, files, expected, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert runners.workers_that_pay(megabytes, files) == expected
