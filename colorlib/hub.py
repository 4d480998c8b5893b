"""Folders from the Hugging Face Hub and to it. What a folder of weights holds: :mod:`colorlib.weights.repository`.

``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT`` and ``HF_HUB_OFFLINE`` are honoured, as huggingface_hub has them; it resumes
downloads, waits where the Hub asks for it, and shows its progress.
"""

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

from colorlib import __version__
from colorlib._deprecated import moved
from colorlib.tensors import CONFIG, WEIGHTS, WeightsError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
WAITS = (1.0, 2.0, 4.0)  # seconds between attempts


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
        WeightsError: the weights are not available; the message says why and what to do.
    """
    repo, _, revision = name.partition("@")
    if not is_repository(name):
        raise WeightsError(
            f"{name} is neither a file or folder here nor the name of a repository, OWNER/REPO[@REVISION]"
        )
    about: dict[str, Any] = {"library_name": "colorlib", "library_version": __version__}
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


def push(
    folder: Path, repo: str, *, repo_type: str = "model", private: bool = False, allow: Iterable[str] = ("**",)
) -> str:
    """Upload a folder to a repository, which is made if it is not there yet, as one commit.

    Returns:
        The commit's sha.

    Raises:
        WeightsError: the Hub refuses; the message says why and what to do.
    """
    api = HfApi(library_name="colorlib", library_version=__version__)
    with _explained(repo):
        api.create_repo(repo, repo_type=repo_type, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo,
            repo_type=repo_type,
            folder_path=folder,
            allow_patterns=list(allow),
            commit_message=f"From colorlib {__version__}",
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


__getattr__ = moved(
    __name__,
    {
        "configured": "colorlib.weights",
        **dict.fromkeys(("Config", "load", "self_test", "test_picture", "try_out"), "colorlib.weights.repository"),
    },
)
