"""Lightning's command line for recipes: where a run writes, and the precision that the machine can do."""

from itertools import chain
from pathlib import Path
from typing import Literal

import torch
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities import rank_zero_info


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
    """Lightning's command line, with two conveniences.

    ``--trainer.default_root_dir`` moves everything that a recipe writes. A recipe that names no precision trains in
    the one that :func:`machine_precision` chooses.
    """

    def before_instantiate_classes(self) -> None:
        """Choose the precision, and take loggers and checkpoints along if a recipe names one folder for both."""
        trainer = self.config[self.subcommand].trainer if self.subcommand else self.config.trainer
        if trainer.precision is None:
            trainer.precision, reason = machine_precision(trainer.accelerator)
            rank_zero_info(f"Precision: {trainer.precision}, since {reason} (--trainer.precision chooses another)")
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
