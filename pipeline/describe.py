"""Looks at a folder of recordings and writes a first description of them, for --task of pipeline.convert.

    python -m pipeline.describe data/watch --output watch.toml

Look at every line of it: what it says is guessed from the names of files and columns, and from their first rows.
"""

import pathlib

from pipeline.common import arguments, errors, storage
from pipeline.common.errors import UserError
from pipeline.dataset import guess


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
    words = arguments.command("python", "-m", "pipeline.convert", "--data", args.data, "--task", args.output)
    print(f"next: look at {args.output}, then {words} --output DATASET")


if __name__ == "__main__":
    errors.run(main)
