"""Command line: ``python -m training fit|validate --config RECIPE [--data.train PATHS] [--ckpt_path last]``.

``python -m training shards SOURCE... OUT`` packs photographs into tar shards first.
"""

import sys
from pathlib import Path

from lightning.pytorch.cli import LightningCLI

from training import shards
from training.data import PhotoData
from training.task import ColorTask


class RecipeCLI(LightningCLI):
    """Lightning's command line, where ``--trainer.default_root_dir`` moves all that a recipe writes."""

    def before_instantiate_classes(self) -> None:
        """Take loggers and checkpoints along, for which a recipe names the folder again."""
        trainer = self.config[self.subcommand].trainer if self.subcommand else self.config.trainer
        named = {logger.init_args.save_dir for logger in trainer.logger or () if "save_dir" in logger.init_args}
        if len(named) != 1 or trainer.default_root_dir is None:
            return  # a configuration of somebody's own
        [before] = named
        for logger in trainer.logger:
            logger.init_args.save_dir = trainer.default_root_dir
        for callback in trainer.callbacks or ():
            folder = callback.get("init_args", {}).get("dirpath")
            if folder and Path(folder).is_relative_to(before):
                callback.init_args.dirpath = str(Path(trainer.default_root_dir) / Path(folder).relative_to(before))


def main(args: list[str] | None = None) -> LightningCLI:
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
    if sys.argv[1:2] == ["shards"]:
        shards.app(sys.argv[2:], prog_name="python -m training shards")
    else:
        main()
