"""How well colours were predicted, by the definitions of the papers.

:mod:`~colorlib.metrics.functional` has them as functions, one value per image; the classes, which average over a data
set, are torchmetrics' and come with it when first asked for: it takes a second to import.
"""

from typing import TYPE_CHECKING, Any

from colorlib.metrics import functional

if TYPE_CHECKING:
    from colorlib.metrics.modular import (
        CIEDE2000,
        PSNR,
        SSIM,
        AlphaBetaRMSE,
        AngularError,
        AngularStatistics,
        BinAccuracy,
        BlotchShare,
        Colorfulness,
        ColorfulnessDifference,
        LabMSE,
        LuvSquaredError,
        SaturationDifference,
        SkinCIEDE2000,
    )

__all__ = [
    "CIEDE2000",
    "PSNR",
    "SSIM",
    "AlphaBetaRMSE",
    "AngularError",
    "AngularStatistics",
    "BinAccuracy",
    "BlotchShare",
    "Colorfulness",
    "ColorfulnessDifference",
    "LabMSE",
    "LuvSquaredError",
    "SaturationDifference",
    "SkinCIEDE2000",
    "functional",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from colorlib.metrics import modular

    return getattr(modular, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
