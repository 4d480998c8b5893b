"""Does a recipe learn? ``python -m training.trial RECIPE --data.train ... --data.val ...`` trains it for 300 steps.

Its validation loss is printed beside that of the best constant prediction: the training mean for a regression, the
marginal distribution for bins. Further arguments are those of ``python -m training fit``, such as a smaller batch for a
full-size network.
"""

import sys
from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn

from colorlib.casts import random_casts
from colorlib.image import size_of
from colorlib.models import ColorModel
from training.cli import RecipeCLI
from training.data import PhotoData
from training.task import Batch, ColorTask

STEPS = 300


def trial(args: list[str]) -> tuple[float, float]:
    """Train a recipe for a while and validate it.

    Args:
        args: the recipe's file and what else `fit` takes.

    Returns:
        The loss of the target on the validation photographs: the network's, and the best constant prediction's.
    """
    recipe, *more = args
    short = [f"--trainer.max_steps={STEPS}", "--trainer.limit_val_batches=0", "--trainer.logger=false"]
    cli = RecipeCLI(
        ColorTask,
        PhotoData,
        run=False,
        args=["--config", recipe, *short, "--trainer.callbacks=[]", "--trainer.enable_checkpointing=false", *more],
        save_config_callback=None,
        seed_everything_default=0,
    )
    cli.trainer.fit(cli.model, cli.datamodule)
    model = cli.model.model
    constant = best_constant(model, islice(cli.datamodule.train_dataloader(), 20))
    return validate(model, constant, cli.datamodule.val_dataloader())


def best_constant(model: ColorModel, batches: Iterable[Batch]) -> Tensor:
    """The prediction that, the same everywhere, has the least loss: (1, channels, 1, 1)."""
    rgb = torch.cat([_sample(batch) for batch in batches])
    encoded = model.target.encode(rgb)
    constant = nn.Parameter(torch.zeros(1, model.target.channels, 1, 1))
    optimizer = torch.optim.LBFGS([constant], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model.target.loss(constant.expand(len(rgb), -1, *size_of(rgb)), encoded)
        loss.backward()
        return loss

    optimizer.step(closure)
    return constant.detach()


@torch.no_grad()
def validate(model: ColorModel, constant: Tensor, batches: Iterable[Batch]) -> tuple[float, float]:
    """Mean loss of the target: the network's and the constant's. White balance sees seeded casts of all kinds."""
    model.eval()
    losses = []
    for index, batch in enumerate(batches):
        rgb = batch["rgb"].float() / 255
        balance = model.task == "balance"
        inputs = random_casts(rgb, generator=torch.Generator().manual_seed(index)) if balance else rgb
        prediction = model(model.to_input(inputs))
        encoded = model.target.encode(rgb, size_of(prediction))
        both = [model.target.loss(x, encoded).item() for x in (prediction, constant.expand_as(prediction))]
        losses.append([len(rgb) * loss for loss in (*both, 1.0)])
    ours, theirs, count = torch.tensor(losses).sum(dim=0).tolist()
    return ours / count, theirs / count


def _sample(batch: Batch) -> Tensor:
    """Every eighth pixel of every eighth row of a few photographs: enough for one colour."""
    return batch["rgb"][:16, :, ::8, ::8].float() / 255


if __name__ == "__main__":
    arguments, sys.argv = sys.argv[1:], sys.argv[:1]  # Lightning's command line warns where it has both
    ours, constant = trial(arguments)
    print(f"{arguments[0]}: loss {ours:.4f}, best constant prediction {constant:.4f}, ratio {ours / constant:.3f}")
    sys.exit(ours >= constant)
