"""Repositories of the Hugging Face Hub that hold a trained network: its weights and its card."""

from pathlib import Path
from typing import Any

from lowrank_unroll.errors import UsageError
from lowrank_unroll.extras import import_extra

HUB = "hub:"
WEIGHTS = "model.safetensors"
CARD = "README.md"


def downloaded(repository: str) -> Path:
    """Return the file of weights of a repository OWNER/NAME, downloaded from the hub or found in its cache.

    Raises:
        ModuleNotFoundError: if huggingface_hub is not installed.
        UsageError: if there is no such repository, it holds no weights, or the hub is out of reach.
    """
    hub = _library()
    try:
        return Path(hub.hf_hub_download(repository, WEIGHTS))
    except Exception as error:  # of the hub's library, or of its HTTP client, which depends on the version
        raise UsageError(f"{HUB}{repository}: no {WEIGHTS} can be downloaded from the hub: {error}") from error


def upload(folder: Path, repository: str) -> str:
    """Make a folder the content of a repository OWNER/NAME, a new one or another version, and return its address.

    It takes the token that ``hf auth login`` stored, or that of the environment variable HF_TOKEN.

    Raises:
        ModuleNotFoundError: if huggingface_hub is not installed.
        UsageError: if the hub refuses it.
    """
    hub = _library()
    try:
        address = hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Weights and card")
    except Exception as error:
        raise UsageError(f"{HUB}{repository}: the hub refuses the upload: {error}") from error
    return str(address)


def _library() -> Any:
    return import_extra("huggingface_hub", "hub", "a network of the hub")
