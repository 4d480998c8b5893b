"""Command line: ``python -m training fit|validate --config RECIPE [--data.train PATHS] [--ckpt_path last]``.

``python -m training shards SOURCE... OUT`` packs photographs into tar shards first; ``python -m training experiment
NAME... --data DATA`` runs one of the papers' experiments, from training to rows.
"""

import sys

from training import experiment, shards
from training.cli import RecipeCLI
from training.data import PhotoData
from training.task import ColorTask


def main(args: list[str] | None = None) -> RecipeCLI:
    """Run Lightning's command line; ``args`` stands in for ``sys.argv`` in tests."""
    # The resolved configuration is written beside the checkpoints; a resumed run may write it again.
    return RecipeCLI(
        ColorTask,
        PhotoData,
        args=args,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        parser_kwargs={"description": "Train a recipe. To pack photographs into tar shards first: shards --help"},
    )


if __name__ == "__main__":
    match sys.argv[1:2]:
        case ["shards"]:
            shards.app(sys.argv[2:], prog_name="python -m training shards")
        case ["experiment"]:
            experiment.app(sys.argv[2:], prog_name="python -m training experiment")
        case _:
            main()
