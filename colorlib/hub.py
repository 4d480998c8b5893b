"""Weights and results from the Hugging Face Hub and to it: pinned, hashed, strict, and tried before they are used.

A repository of weights holds ``model.safetensors``, never a pickle, and ``config.json``: which method it is, the file's
sha256, what is known of it (:class:`colorlib.models.WeightsInfo`), and what the network makes of a small test picture.
What comes down has to have that hash and to paint that picture.

``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` are honoured, as huggingface_hub has them; it resumes
downloads, waits where the Hub asks for it, and shows its progress.
"""

import json
import math
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # httpx2 from version 2 on
from torch import Tensor

from colorlib.models._base import ColorModel
from colorlib.models._registry import create_model, model_info
from colorlib.models._weights import WeightsError, WeightsInfo, file_sha256, load_weights, read_metadata

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
WAITS = (1.0, 2.0, 4.0)  # seconds between attempts
_GRID = (8, 12)  # cells of which the test picture's means are recorded
# Processors differ by less; another saturation, target or tensor by more.
_TOLERANCE = 5e-3
_KNOWN = ("file", "repo", "revision")  # of WeightsInfo, which a repository's own file need not say


@dataclass(frozen=True)
class Config:
    """What ``config.json`` says.

    Attributes:
        model: a name of the registry.
        model_args: keyword arguments of its builder.
        weights: of the file beside it.
        self_test: what :func:`self_test` returns.
        colorlib: the version that wrote it.
    """

    model: str
    model_args: dict[str, Any]
    weights: WeightsInfo
    self_test: list[float]
    colorlib: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it.

        Raises:
            WeightsError: the file is absent, or not such a file.
        """
        try:
            said = json.loads(path.read_text(encoding="utf-8"))
            weights = WeightsInfo(WEIGHTS, **said.pop("weights"))
            return cls(weights=replace(weights, classes=tuple(weights.classes)), **said)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise WeightsError(
                f"{path}: expected what `colorlib push` writes, got another file ({type(error).__name__}: {error})"
            ) from error

    def write(self, path: Path) -> None:
        """Write it."""
        said = asdict(self)
        for name in _KNOWN:
            said["weights"].pop(name)
        path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def is_repository(name: str) -> bool:
    """Whether it can be the name of a repository, ``OWNER/REPO`` or ``OWNER/REPO@REVISION``."""
    return _NAME.fullmatch(name) is not None


def pull(name: str) -> Path:
    """Weights from the Hub, or from its cache on this disk.

    Args:
        name: ``OWNER/REPO``, or ``OWNER/REPO@REVISION`` with a commit, branch or tag.

    Returns:
        The folder with both files, of one commit.

    Raises:
        WeightsError: they are not to be had; the message says why and what to do.
    """
    repo, _, revision = name.partition("@")
    if not is_repository(name):
        raise WeightsError(
            f"{name} is neither a file or folder here nor the name of a repository, OWNER/REPO[@REVISION]"
        )
    about: dict[str, Any] = {"library_name": "colorlib", "library_version": version("colorlib-torch")}
    with _explained(name):
        config = Path(_insistently(repo, CONFIG, revision=revision or None, **about))
        # The cache names folders by commits: both files are of this one, whatever is pushed meanwhile.
        _insistently(repo, WEIGHTS, revision=config.parent.name, **about)
    return config.parent


def _insistently(repo: str, file: str, **about: Any) -> str:
    """Download a file; a line that breaks is tried again, and a server that fails.

    huggingface_hub waits out rate limits by itself, and goes on after timeouts and after connections that end in good
    order; a connection that is reset, and a server's error while a file is fetched, it passes on.
    """
    for wait in WAITS:
        try:
            return str(hf_hub_download(repo, file, **about))
        except httpx.TransportError:
            pass
        except HfHubHTTPError as error:
            if error.response.status_code < 500:
                raise
        time.sleep(wait)
    return str(hf_hub_download(repo, file, **about))


def load(folder: Path) -> tuple[ColorModel, str, WeightsInfo]:
    """A module in eval mode, its name and what is known of its weights, from a folder with both files.

    Raises:
        WeightsError: a file is absent, damaged, or another than the one that was pushed; a tensor is missing, unknown
            or of another shape; or the network paints the test picture otherwise than when it was pushed.
    """
    config = Config.read(folder / CONFIG)
    path = folder / WEIGHTS
    if path.is_file() and (found := file_sha256(path)) != config.weights.sha256:
        # So that the next attempt fetches it again; the cache keeps contents apart from names.
        path.resolve().unlink() if path.is_symlink() else None
        raise WeightsError(
            f"{path} has sha256 {found}, but {config.weights.sha256} was pushed: it is damaged or was replaced"
            + (", and is now removed from the cache; try again" if not path.is_file() else "; fetch it again")
        )
    try:
        with torch.device("cpu"):
            model = create_model(config.model, **config.model_args).float()
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"{folder / CONFIG}: this version of colorlib, {version('colorlib-torch')}, cannot build it ({error}); "
            f"it was written by {config.colorlib}"
        ) from error
    load_weights(model, path)
    try_out(model, folder)
    return model, config.model, config.weights


def try_out(model: ColorModel, folder: Path) -> None:
    """Compare what a module makes of the test picture with what the configuration says.

    Raises:
        WeightsError: it differs.
    """
    config, painted = Config.read(folder / CONFIG), self_test(model)
    same = len(painted) == len(config.self_test)
    difference = max(abs(a - b) for a, b in zip(painted, config.self_test, strict=True)) if same else math.inf
    if not difference <= _TOLERANCE:  # nor is nan
        raise WeightsError(
            f"{folder}: {config.model} paints the test picture otherwise than when its weights were pushed, by "
            f"colorlib {config.colorlib} (a difference of {difference:.3f}, at most {_TOLERANCE} is expected): it is "
            f"another network, or colorlib has changed; this is version {version('colorlib-torch')}"
        )


@torch.no_grad()
def self_test(model: ColorModel) -> list[float]:
    """What a module makes of a small picture that no file is needed for: means of 8 x 12 cells, each of R, G, B.

    Args:
        model: in eval mode.

    Returns:
        288 numbers in [0, 1].
    """
    painted = model.colorize(test_picture().to(next(model.parameters()).device))
    return [round(value, 4) for value in F.adaptive_avg_pool2d(painted, _GRID).flatten().tolist()]


def test_picture() -> Tensor:
    """Sky above hills above a chequered floor, as far as that goes with sines: sRGB (1, 3, 64, 96)."""
    rows, columns = (torch.linspace(0, 1, n, dtype=torch.float32, device="cpu") for n in (64, 96))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    hills = (y > 0.5 + 0.08 * torch.sin(9 * x)).float()
    chequers = (torch.sin(40 * x) * torch.sin(30 * y * y) > 0).float() * (y > 0.75)
    gray = (0.85 - 0.4 * y) * (1 - hills) + (0.25 + 0.1 * torch.sin(60 * x + 35 * y)) * hills + 0.3 * chequers
    tint = torch.stack([0.9 + 0.1 * y, torch.ones_like(y), 1.1 - 0.2 * y])
    return (gray * tint).clamp(0, 1)[None]


def configured(model: str | PathLike[str]) -> tuple[Config, Path]:
    """What is to be pushed: embedded weights by their name, or a file of ``python -m training.export``.

    Returns:
        The configuration, with a self-test that was run on the spot, and the weights file.

    Raises:
        ValueError: no such method.
        WeightsError: no weights, or no readable ones.
    """
    path = Path(model)
    if path.suffix == ".safetensors":
        said = read_metadata(path)
        if "model" not in said:
            raise WeightsError(f"{path} does not say which model it is for; write it with python -m training.export")
        name, args = said["model"], json.loads(said.get("model_args", "{}"))
        built = create_model(name, weights=path, **args)
        parameters = sum(parameter.numel() for parameter in built.parameters())
        classes = tuple(json.loads(said.get("classes", "[]")))
        weights = WeightsInfo(WEIGHTS, file_sha256(path), "", "", "", parameters, classes=classes)
    else:
        name, args = model_info(str(model)).name, {}
        built = create_model(name, pretrained=True)
        found = model_info(name).weights
        if found is None:
            raise WeightsError(f"{name} has nothing to learn, so there are no weights to push")
        weights, path = found, found.path
    return Config(name, args, weights, self_test(built), version("colorlib-torch")), path


def push(
    folder: Path, repo: str, *, repo_type: str = "model", private: bool = False, allow: Iterable[str] = ("**",)
) -> str:
    """Upload a folder to a repository, which is made if it is not there yet, as one commit.

    Returns:
        The commit's sha.

    Raises:
        WeightsError: the Hub refuses; the message says why and what to do.
    """
    api = HfApi(library_name="colorlib", library_version=version("colorlib-torch"))
    with _explained(repo):
        api.create_repo(repo, repo_type=repo_type, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo,
            repo_type=repo_type,
            folder_path=folder,
            allow_patterns=list(allow),
            commit_message=f"From colorlib {version('colorlib-torch')}",
        )
    return str(done.oid)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn what the Hub and the network say into sentences that tell what to do."""
    repo, _, revision = name.partition("@")
    at = constants.ENDPOINT
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise WeightsError(f"{at} wants to know who pushes to {repo}: set HF_TOKEN, or run `hf auth login`") from error
    except GatedRepoError as error:
        raise WeightsError(f"{repo} is gated: accept its terms at {at}/{repo}, then set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise WeightsError(
            f"{at} has no repository {repo}, or it is private: check the name, or set HF_TOKEN to a token that may "
            f"read it (`hf auth login`). There is no file or folder {repo} here either"
        ) from error
    except RevisionNotFoundError as error:
        raise WeightsError(f"{at}/{repo} has no revision {revision}") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{at} cannot be reached"
        raise WeightsError(
            f"{name} is not in the cache at {constants.HF_HUB_CACHE}, and {why}: load it once while online, set "
            f"HF_HOME to where it is, or name a folder with {CONFIG} and {WEIGHTS}"
        ) from error
    except EntryNotFoundError as error:
        raise WeightsError(f"{at}/{repo} is no repository of colorlib's: it has no {CONFIG} or no {WEIGHTS}") from error
    except HfHubHTTPError as error:
        who = ": set HF_TOKEN to a token that may, or run `hf auth login`" * (error.response.status_code in (401, 403))
        raise WeightsError(f"{at} refuses {name}{who} ({error})") from error
    except (httpx.HTTPError, OSError) as error:
        raise WeightsError(f"{name}: {at} cannot be reached, or the line broke ({error}); try again") from error
