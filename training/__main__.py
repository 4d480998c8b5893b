"""Command line: ``python -m training fit|validate --config RECIPE [--data.train PATHS] [--ckpt_path last]``.

``python -m training shards SOURCE... OUT`` packs photographs into tar shards first.
"""

import sys

from lightning.pytorch.cli import LightningCLI

from training import shards
from training.data import PhotoData
from training.task import ColorTask


def main(args: list[str] | None = None) -> LightningCLI:
    """Run Lightning's command line; ``args`` stands in for ``sys.argv`` in tests."""
    # The resolved configuration is written beside the checkpoints; a resumed run may write it again.
    return LightningCLI(
        ColorTask,
        PhotoData,
        args=args,
        seed_everything_default=0,
        save_config_kwargs={"overwrite": True},
        parser_kwargs={"description": "Train a recipe. To pack photographs into tar shards first: shards --help"},
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["shards"]:
        shards.app(sys.argv[2:], prog_name="python -m training shards")
    else:
        main()
