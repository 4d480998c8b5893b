"""Lightning's command line for recipes: where a run writes, and the precision that the machine can do."""

from itertools import chain
from pathlib import Path
from typing import Literal

import torch
from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

DEFAULTS = Path(__file__).parent / "defaults.yaml"
GUARDED = "training.callbacks.GuardedCheckpoint"


def machine_precision(accelerator: str = "auto") -> tuple[Literal["bf16-mixed", "32-true"], str]:
    """The fastest precision that training is safe in on this machine, and the reason in words.

    A CPU without bf16 instructions emulates them at a few hundredths of the speed of float32, and so do CUDA devices
    before compute capability 8.

    Args:
        accelerator: as Lightning's trainer takes it; ``"auto"`` takes CUDA where there is a device.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        able = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator in ("auto", "cpu"):
        name = "this CPU"
        able = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    else:
        name, able = f"the accelerator {accelerator!r}", False
    return ("bf16-mixed", f"{name} has bf16 units") if able else ("32-true", f"{name} has no bf16 units")


class RecipeCLI(LightningCLI):
    """Lightning's command line, with three conveniences.

    ``training/defaults.yaml`` is read before a recipe. ``--trainer.default_root_dir`` moves everything that a recipe
    writes. A recipe that names no precision trains in the one that :func:`machine_precision` chooses.
    """

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Let the defaults be read first."""
        parser.default_config_files = [str(DEFAULTS)]

    def before_instantiate_classes(self) -> None:
        """Choose the precision, and give loggers and checkpoints the run's folder."""
        trainer = self.config[self.subcommand].trainer if self.subcommand else self.config.trainer
        if trainer.precision is None:
            trainer.precision, reason = machine_precision(trainer.accelerator)
            rank_zero_info(f"Precision: {trainer.precision}, since {reason} (--trainer.precision chooses another)")
        root = str(trainer.default_root_dir or ".")
        parts = [x for x in (trainer.logger, trainer.callbacks) if isinstance(x, list)]
        for part in chain(*parts):
            if "init_args" in part and part.init_args.get("save_dir") == "":
                part.init_args.save_dir = root
            if part.class_path == GUARDED and not part.init_args.dirpath:
                part.init_args.dirpath = str(Path(root) / "checkpoints")
        if trainer.default_root_dir is not None:
            _move([part.init_args for part in chain(*parts) if "init_args" in part], root)


def _move(args: list[Namespace], root: str) -> None:
    """Take loggers and checkpoints along if a recipe names one folder for both."""
    logs, checkpoints = ([x for x in args if x.get(name)] for name in ("save_dir", "dirpath"))
    named = {x.save_dir for x in logs}
    if len(named) != 1:
        return
    [before] = named
    if not all(Path(x.dirpath).is_relative_to(before) for x in checkpoints):
        return  # a folder of the user's own
    for x in logs:
        x.save_dir = root
    for x in checkpoints:
        x.dirpath = str(Path(root) / Path(x.dirpath).relative_to(before))
