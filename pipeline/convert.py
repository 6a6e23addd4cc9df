"""Converts recordings into a dataset of TFRecord shards.

    python -m pipeline.convert --data data/fingerspelling --test-signers 3 --output out/dataset
    python -m pipeline.convert --data gs://BUCKET/fingerspelling --output gs://BUCKET/dataset --runner dataflow \\
        --project PROJECT --region europe-west4 --temp-location gs://BUCKET/temp --max-num-workers 17

What DATA holds depends on the task: see below. The task is written into the dataset: later commands read it from there.
An interrupted conversion continues when the same command is run again.
"""

from pipeline import tasks
from pipeline.beam import runners
from pipeline.beam.conversion import MOST_SHARDS, convert
from pipeline.common import arguments, errors
from pipeline.dataset import split_options


def main() -> None:
    parser = arguments.Parser(__doc__, epilog=tasks.describe())
    parser.add_argument("--data", type=arguments.path, required=True, help="folder with the metadata and its files")
    parser.add_argument("--output", type=arguments.path, required=True, help="new directory, or an unfinished one")
    names = ", ".join(tasks.TASKS)
    tasks_help = f"one of {names}, or a description file, FILE.toml; by the columns of the metadata if not given"
    parser.add_argument("--task", metavar="NAME|FILE", help=tasks_help)
    split_options.add_options(parser)
    parser.add_argument(
        "--shards",
        type=arguments.positive,
        help=f"number of shards: more for more workers; one per file, {MOST_SHARDS} at most, if not given",
    )
    parser.add_argument(
        "--swap-hands", action="store_true", help="take the left hand for the right one and the other way round"
    )
    runners.add_options(parser)
    args = parser.parse_args()
    convert(
        args.data,
        args.output,
        split_options.rule(args),
        num_shards=args.shards,
        runner=runners.from_arguments(args, places=[args.data, args.output]),
        task_name=args.task,
        names=args.metadata or (),
        swap_hands=args.swap_hands,
    )


if __name__ == "__main__":
    errors.run(main)
