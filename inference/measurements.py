"""The table of inference.budget: what was measured of each way to export."""

import dataclasses

from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath

KIND = directories.Kind("frame budget", made_by="inference.budget")
MEASUREMENTS = "budget.json"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One way to export.

    Attributes:
      size_mb: millions of bytes.
      too_few_frames: clips of which the encoder gives fewer than their label takes: they cannot be read.
      latency_ms: statistics by name, see `latency.STATISTICS`.
    """

    max_frames: int
    weights: str
    score: float
    latency_ms: dict[str, float]
    size_mb: float
    too_few_frames: int

    def __str__(self) -> str:
        return f"--max-frames {self.max_frames} --weights {self.weights}"


def read(directory: AnyPath, *, complete: bool) -> list[Measurement]:
    """The measurements so far. Raises `UserError` where the file is damaged, or not there although it must be."""
    file = directory / MEASUREMENTS
    if complete:
        directories.read_manifest(directory, KIND, files=[MEASUREMENTS])
    elif not file.is_file():
        return []
    try:
        found = [Measurement(**each) for each in directories.read_json(file)["measurements"]]
        if complete and not found:
            raise LookupError("no measurements")
        return found
    except (LookupError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error}): delete {directory} and make it again") from error
