"""Looks at a folder of recordings and writes a first description of them, for --task of scripts/run_pipeline.

    python -m pipeline.describe data/watch --output watch.toml

Look at every line of it: what it says is guessed from the names of files and columns, and from their first rows. Also
prints what the description finds.
"""

import collections
import pathlib

from pipeline.common import arguments, errors, progress, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import description, guess, listing
from pipeline.dataset.splits import TEST

_MOST = 12  # classes that are shown


def found(file: AnyPath, data: AnyPath) -> str:
    """What the description makes of the data, in lines: clips, classes, groups, what is left over; or what is wrong."""
    try:
        table, task, remarks = listing.read(data, description.read(file, data))
    except UserError as error:
        return f"not usable yet: {error}"
    entries = table.entries.values()
    counts = collections.Counter(entry.label for entry in entries)
    classes = ", ".join(f"{label}: {counts[label]:,}" for label in task.classes[:_MOST])
    more = ", ..." if len(counts) > _MOST else ""
    groups = f"{len(table.signers):,}" if task.tables.group else "none"
    tested = sum(entry.split == TEST for entry in entries)
    said = f"clips: {len(entries):,}; groups: {groups}; channels: {len(task.channels)}"
    said += f"; classes: {len(counts)} ({classes}{more})"
    return "\n".join([said + (f"; to test on: {tested:,}" if tested else ""), *remarks])


def main() -> None:
    parser = arguments.Parser(__doc__)
    parser.add_argument("data", type=pathlib.Path, help="folder with tables: CSV, TSV or parquet")
    parser.add_argument("--output", type=arguments.path, required=True, help="description file to write: a new one")
    args = parser.parse_args()
    if not args.data.is_dir():
        raise UserError(f"{args.data}: {errors.what_is_there(args.data)}; expected a folder of tables")
    if args.output.exists():
        raise UserError(f"{args.output} exists: delete it, or choose another name")
    text = guess.describe(args.data)
    with storage.replacing(args.output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text, end="")
    print(f"what it finds: {found(args.output, args.data)}")
    words = arguments.command("scripts/run_pipeline", "--data", args.data, "--task", args.output)
    progress.next_step(f"look at {args.output}, then {words} --output RUN")


if __name__ == "__main__":
    errors.run(main)
