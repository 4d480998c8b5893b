"""Learning from another network's distributions of colours, instead of from one true colour a pixel.

What a large network holds possible at a pixel says more than the one colour that was there, and so a compact one learns
more from as many photographs (Hinton, Vinyals and Dean 2015). Both see the same crop; only the student's may be aged.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from colorlib.image import size_of
from colorlib.models import ColorModel
from colorlib.targets import Histogram, HueChroma
from colorlib.weights import open_model


class Teacher:
    """A network whose distributions another one learns; it is not trained, nor kept in checkpoints.

    Args:
        name: as :class:`colorlib.Colorizer` takes it: a method with weights, or a file of them.
        student: what learns; its target has the same bins.
        soft: weight of what the teacher says in the loss, in (0, 1]; the rest is the method's own loss.

    Raises:
        ValueError: no such method; one that predicts no distribution, or one over other bins; another ``soft``.
        WeightsError: no weights, or weights that are damaged.
    """

    def __init__(self, name: str, student: ColorModel, soft: float = 1.0):
        if not 0 < soft <= 1:
            raise ValueError(f"expected soft in (0, 1], got {soft}")
        self.network = open_model(name).module.requires_grad_(False)
        self.soft = soft
        theirs, ours = self.network.target, student.target
        if not (isinstance(theirs, Histogram) and type(theirs) is type(ours) and theirs.sizes == ours.sizes):
            raise ValueError(
                f"{name} predicts {theirs}, {student.name} {ours}: a teacher and its student have to predict "
                "distributions over the same bins, as larsson16 and larsson16_small do"
            )

    def losses(self, student: ColorModel, rgb: Tensor, label: Tensor, shown: Tensor | None = None) -> dict[str, Tensor]:
        """The student's loss, see :meth:`colorlib.models.ColorModel.losses`; ``divergence`` is the teacher's part."""
        target = student.target
        assert isinstance(target, Histogram)
        prediction = student(student.to_input(rgb if shown is None else shown))
        self.network.to(rgb.device)
        with torch.no_grad():
            theirs = self.network(self.network.to_input(rgb)).float()
            taught = F.interpolate(theirs, size_of(prediction), mode="bilinear", align_corners=False)
        apart = divergence(target, prediction, taught)
        if self.soft == 1:
            return {"loss": apart, "divergence": apart}
        own = student.losses(rgb, label, shown)["loss"]
        return {"loss": self.soft * apart + (1 - self.soft) * own, "divergence": apart, "own": own}


def divergence(target: Histogram, prediction: Tensor, taught: Tensor) -> Tensor:
    """Kullback-Leibler divergence of predicted distributions from those of a teacher, in nats.

    The cross-entropy with soft targets, less the teacher's entropy, which no training changes; so it can reach 0.
    Histograms are summed, pixels averaged. A pixel's hue counts as in eq. 3 of Larsson et al. 2016, by the chroma that
    the teacher expects in place of the true one.

    Args:
        target: of both.
        prediction: logits of the student, (N, channels, h, w).
        taught: those of the teacher, of the same shape.
    """
    weights = target.predicted_weights(taught)
    scale = target.hue_weight if isinstance(target, HueChroma) else 1.0
    losses = []
    for ours, theirs, weight in zip(
        *(x.float().split(target.sizes, dim=1) for x in (prediction, taught)), weights, strict=True
    ):
        apart = F.kl_div(ours.log_softmax(dim=1), theirs.log_softmax(dim=1), reduction="none", log_target=True)
        pixels = apart.sum(dim=1)
        losses.append((pixels if weight is None else scale * weight * pixels).mean())
    return torch.stack(losses).sum()
