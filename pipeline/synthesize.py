"""Makes sample data in the layout of the Kaggle fingerspelling set, with hands from a kinematic model.

    python -m pipeline.synthesize --output data/sample

writes a folder that every other command reads as it reads the real set:

    train.csv                             path, file_id, sequence_id, participant_id, phrase
    train_landmarks/<file_id>.parquet     a row a frame: frame, x/y/z of 543 points (1,629 columns), sequence_id
    character_to_prediction_index.json    the 59 characters
    planted_corruption.csv                sequence_id, kind: which clips are spoiled, and how; the truth that the
                                          filter's choices are held against, which no other stage may read
    request.json, manifest.json           what was asked for; the manifest is written last

The same options give the same landmarks and phrases, however many files they are spread over. An interrupted command
continues where it stopped when it is run again.

The data show that the program works and how its parts compare; they do not predict results on the real set. What is
modelled, what is not, and how hard the data are: pipeline/synthesis/__init__.py.
"""

import csv
import functools
import itertools
import json
from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common import arguments, directories, errors, progress, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import parquet
from pipeline.synthesis.plan import PlannedClip, make_landmarks, plan_clips
from pipeline.synthesis.signers import Signer, make_signers
from pipeline.synthesis.tracker import POINT_COLUMNS
from pipeline.tasks.fingerspelling import CHARACTER_MAP, CHARACTER_TO_INDEX, Fingerspelling

KIND = directories.Kind("sample set", made_by="pipeline.synthesize")
# Raise it when the same arguments give other data than before.
GENERATOR_VERSION = 1

_MIN_ROWS_PER_GROUP = 4096


def synthesize(
    output: AnyPath, *, clips: int = 1200, signers: int = 12, files: int = 6, spoiled_share: float = 0.12, seed: int = 0
) -> bool:
    """Writes the folder. Returns whether there was anything to do: a complete folder of the same arguments stays.

    Raises:
      UserError: arguments that make no sense, or `output` holds something else or cannot be written.
    """
    if clips < 1:
        raise UserError(f"{clips} clips: expected at least 1")
    for count, things in ((signers, "signers"), (files, "files")):
        if not 1 <= count <= clips:
            raise UserError(f"{count} {things} for {clips} clips: expected between 1 and {clips}")
    if not 0 <= spoiled_share <= 1:
        raise UserError(f"a spoiled share of {spoiled_share:g}: expected between 0 and 1")
    if seed < 0:
        raise UserError(f"seed {seed}: expected at least 0")
    request = directories.Request(
        KIND,
        {
            "clips": clips,
            "signers": signers,
            "files": files,
            "spoiled_share": spoiled_share,
            "seed": seed,
            "generator_version": GENERATOR_VERSION,
        },
    )
    try:
        if directories.prepare(output, request):
            return False
        planned = plan_clips(clips=clips, signers=signers, files=files, spoiled_share=spoiled_share, seed=seed)
        num_frames = _write_all_landmarks(output, planned, make_signers(signers, seed), seed)
        _write_metadata(output, planned)
        directories.complete(output, request, {"frames": num_frames})
    except OSError as error:
        raise UserError(f"cannot write to {output}: {errors.reason(error)}") from error
    return True


def _write_all_landmarks(output: AnyPath, planned: list[PlannedClip], signers: list[Signer], seed: int) -> int:
    """Writes the parquet files that are not there yet. Returns the number of frames of all of them."""
    (output / "train_landmarks").mkdir(exist_ok=True)
    num_frames = 0
    with progress.progress("clips") as bar:
        task = bar.add_task("synthesize", total=len(planned), already=0, note="")
        for file_id, members in itertools.groupby(planned, key=lambda clip: clip.file_id):
            group = list(members)
            path = output / "train_landmarks" / f"{file_id}.parquet"
            # A file of an interrupted run is whole: it got its name last.
            if path.is_file():
                bar.update(task, advance=len(group), already=bar.tasks[task].fields["already"] + len(group))
            else:
                _write_landmarks(path, group, signers, seed, advance=lambda: bar.advance(task))
            with parquet.opened(path) as file:
                num_frames += file.metadata.num_rows
    return num_frames


def _write_landmarks(
    path: AnyPath, planned: list[PlannedClip], signers: list[Signer], seed: int, *, advance: Callable[[], None]
) -> None:
    """Writes one parquet file of whole clips, a few of them in memory at a time."""
    with (
        storage.replacing(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema(),
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            # Splitting floats into streams of bytes before compression halves both size and time.
            use_byte_stream_split=list(POINT_COLUMNS),
        ) as writer,
    ):
        waiting: list[tuple[int, np.ndarray]] = []
        for clip in planned:
            landmarks = make_landmarks(clip, signers[clip.signer], seed)
            waiting.append((clip.sequence_id, landmarks))
            if sum(len(each) for _, each in waiting) >= _MIN_ROWS_PER_GROUP or clip is planned[-1]:
                table = _table(waiting)
                writer.write_table(table, row_group_size=len(table))
                waiting = []
            advance()


def _table(recordings: list[tuple[int, np.ndarray]]) -> pa.Table:
    """Rows of `schema` from (clip id, landmarks (T, 543, 3)); NaN becomes null, as in the real files."""
    frames = np.concatenate([np.arange(len(landmarks), dtype=np.int16) for _, landmarks in recordings])
    ids = np.concatenate([np.full(len(landmarks), sequence_id) for sequence_id, landmarks in recordings])
    columns_CxT = np.concatenate([landmarks.T.reshape(len(POINT_COLUMNS), -1) for _, landmarks in recordings], axis=1)
    points = [pa.array(column, from_pandas=True) for column in columns_CxT]
    return pa.Table.from_arrays([pa.array(frames), *points, pa.array(ids)], schema=schema())


@functools.cache
def schema() -> pa.Schema:
    """The columns of the Kaggle files, with the index as pandas writes it."""
    types = {"frame": "int16"} | dict.fromkeys(POINT_COLUMNS, "float32") | {"sequence_id": "int64"}
    pandas = {
        "index_columns": ["sequence_id"],
        "column_indexes": [
            {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
        ],
        "columns": [
            {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": kind, "metadata": None}
            for name, kind in types.items()
        ],
        "pandas_version": "2.0.0",
    }
    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in types.items()]
    return pa.schema(fields, metadata={"pandas": json.dumps(pandas)})


def _write_metadata(output: AnyPath, planned: list[PlannedClip]) -> None:
    with storage.replacing(output / CHARACTER_MAP) as temporary:
        temporary.write_text(json.dumps(CHARACTER_TO_INDEX), encoding="utf-8")
    _write_csv(
        output / "planted_corruption.csv",
        ("sequence_id", "kind"),
        ((each.sequence_id, each.spoiled) for each in planned if each.spoiled),
    )
    columns = Fingerspelling.metadata
    _write_csv(
        output / columns.file,
        (columns.path, "file_id", columns.id, columns.signer, columns.label),
        (
            (f"train_landmarks/{each.file_id}.parquet", each.file_id, each.sequence_id, each.signer, each.phrase)
            for each in planned
        ),
    )


def _write_csv(path: AnyPath, header: tuple[str, ...], rows: Iterable[tuple]) -> None:
    with storage.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("--output", type=arguments.path, required=True, help="directory: new, empty or unfinished")
    parser.add_argument("--clips", type=int, default=1200, metavar="N", help="how many; 1,000 take about 0.4 GB")
    parser.add_argument("--signers", type=int, default=12, metavar="N", help="how many people, with equally many clips")
    parser.add_argument("--files", type=int, default=6, metavar="N", help="how many parquet files")
    parser.add_argument(
        "--spoiled-share", type=float, default=0.12, metavar="SHARE", help="share of spoiled clips, 0 to 1"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of people, phrases and motions")
    options = parser.parse_args()
    if not synthesize(**vars(options)):
        return
    print(f"{options.clips} clips of {options.signers} signers: {options.output}")
    print(f"next: scripts/run_pipeline {arguments.command('--data', options.output)} --output DIRECTORY")


if __name__ == "__main__":
    errors.run(main)
