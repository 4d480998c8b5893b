"""Command line: ``python -m training fit|validate --config RECIPE [--data.train PATHS] [--ckpt_path last]``.

``python -m training shards SOURCE... OUT`` packs photographs into tar shards first; ``python -m training experiment
NAME... --data DATA`` runs one of the papers' experiments, from training to rows.
"""

import sys
from itertools import chain
from pathlib import Path

from lightning.pytorch.cli import LightningCLI

from training import experiment, shards
from training.data import PhotoData
from training.task import ColorTask


class RecipeCLI(LightningCLI):
    """Lightning's command line, where ``--trainer.default_root_dir`` moves all that a recipe writes."""

    def before_instantiate_classes(self) -> None:
        """Take loggers and checkpoints along, if a recipe names one folder for both."""
        trainer = self.config[self.subcommand].trainer if self.subcommand else self.config.trainer
        parts = [x for x in (trainer.logger, trainer.callbacks) if isinstance(x, list)]
        args = [part.init_args for part in chain(*parts) if "init_args" in part]
        logs, checkpoints = ([x for x in args if x.get(name)] for name in ("save_dir", "dirpath"))
        named = {x.save_dir for x in logs}
        if len(named) != 1 or trainer.default_root_dir is None:
            return
        [before] = named
        if not all(Path(x.dirpath).is_relative_to(before) for x in checkpoints):
            return  # a folder of the user's own
        for x in logs:
            x.save_dir = trainer.default_root_dir
        for x in checkpoints:
            x.dirpath = str(Path(trainer.default_root_dir) / Path(x.dirpath).relative_to(before))


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
    match sys.argv[1:2]:
        case ["shards"]:
            shards.app(sys.argv[2:], prog_name="python -m training shards")
        case ["experiment"]:
            experiment.app(sys.argv[2:], prog_name="python -m training experiment")
        case _:
            main()
