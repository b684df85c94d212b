"""Repositories of the Hugging Face Hub that hold a trained network: its weights and its card."""

from pathlib import Path
from types import ModuleType

from lowrank_unroll.errors import UsageError

HUB = "hub:"
WEIGHTS = "model.safetensors"
CARD = "README.md"


def downloaded(repository: str) -> Path:
    """The weights of a repository OWNER/NAME, from the hub or, where they were loaded before, from its cache.

    Raises:
        ModuleNotFoundError: if huggingface_hub is not installed.
        UsageError: if there is no such repository, it holds no weights, or the hub is out of reach.
    """
    hub = _library()
    try:
        return Path(hub.hf_hub_download(repository, WEIGHTS))
    except Exception as error:  # of its own, and of the client of HTTP, which differs from version to version
        raise UsageError(f"{HUB}{repository}: no {WEIGHTS} can be had from the hub: {error}") from error


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
        raise UsageError(f"{HUB}{repository}: the hub does not take it: {error}") from error
    return str(address)


def _library() -> ModuleType:
    try:
        import huggingface_hub  # noqa: PLC0415  an optional extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'trained networks of a hub are had by huggingface_hub: pip install "lowrank-unroll[hub]"'
        ) from error
    return huggingface_hub
