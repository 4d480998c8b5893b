"""Command line: ``python -m training fit|validate --config RECIPE [--data.train PATHS] [--ckpt_path last]``."""

from lightning.pytorch.cli import LightningCLI

from training.data import PhotoData
from training.task import ColorTask


def main(args: list[str] | None = None) -> LightningCLI:
    """Run Lightning's command line; ``args`` stands in for ``sys.argv`` in tests."""
    # The resolved configuration is written beside the checkpoints; a resumed run may write it again.
    return LightningCLI(
        ColorTask, PhotoData, args=args, seed_everything_default=0, save_config_kwargs={"overwrite": True}
    )


if __name__ == "__main__":
    main()
