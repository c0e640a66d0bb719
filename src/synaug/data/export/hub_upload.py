"""Upload a written folder to the Hugging Face Hub, only if the user names the repository."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Literal

from synaug.data.export.digests import DIGESTS, read_digests
from synaug.errors import EnvironmentFault, OptionError, first_line
from synaug.runtime import MARKER, listed
from synaug.runtime.files import directories

Kind = Literal["dataset", "model"]
_OF_CLASSIFIER = ("classifier.safetensors", "config.json", "README.md")


def push_folder(folder: Path, repository: str, *, kind: Kind, private: bool = False) -> str:
    """Upload a folder and return its URL; the repository is created if it does not exist.

    Args:
        folder: the folder to upload, with all its files: an exported data set or classifier.
        repository: ``USER/NAME``.
        kind: repository type.
        private: make the repository private; an existing public one is rejected.

    Raises:
        OptionError: invalid repository name, ``private`` with a public repository, or a folder with files that are not
            part of the export.
        EnvironmentFault: there is no token or no network, or the Hub rejects the upload.
    """
    import huggingface_hub

    token = checked_token(repository)
    if foreign := foreign_to_export(folder, kind):
        raise OptionError(
            f"{folder} has {listed(foreign)}, which synaug did not write. Nothing was sent to {repository}. Move these "
            "files away, or export into another folder."
        )
    api = huggingface_hub.HfApi(token=token)
    try:
        url = api.create_repo(repository, repo_type=kind, private=private or None, exist_ok=True)
        if private and not api.repo_info(repository, repo_type=kind).private:
            raise OptionError(
                f"{repository} is already public, so nothing was uploaded. Name another repository, "
                "or make this one private."
            )
        api.upload_folder(
            repo_id=repository, repo_type=kind, folder_path=folder, commit_message="Uploaded with synaug export"
        )
    except OptionError:
        raise
    except Exception as error:  # the Hub client passes on errors of its HTTP library, which has changed over time
        raise EnvironmentFault(
            f"{folder} is written, but could not be uploaded to {repository}: {first_line(error)}. Check the "
            "network and that the token may write there, then send it with: "
            f"hf upload {repository} {folder} --repo-type {kind}"
        ) from error
    return str(url)


def foreign_to_export(folder: Path, kind: Kind) -> list[str]:
    """Return the entries outside an export, sorted: other files, and links, which an upload would follow."""
    known = {*read_digests(folder), DIGESTS} if kind == "dataset" else set(_OF_CLASSIFIER)
    known.add(MARKER)
    found = []
    for path in directories.entries_below(folder):
        name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
        if not stat.S_ISDIR(mode) and not (stat.S_ISREG(mode) and name in known):
            found.append(name)
    return sorted(found)


def checked_token(repository: str) -> str:
    """Return the token for uploads, after checking the repository name.

    Raises:
        OptionError, EnvironmentFault: see ``push_folder``.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except errors.HFValidationError as error:
        raise OptionError(f"{repository!r} is not a Hub repository: {error} Give USER/NAME.") from error
    if repository.count("/") != 1:
        raise OptionError(f"{repository!r} is not a Hub repository. Give USER/NAME.")
    token = huggingface_hub.get_token()
    if token is None:
        raise EnvironmentFault("No token with write access to the Hub was found. Set HF_TOKEN, or run: hf auth login")
    if constants.HF_HUB_OFFLINE:
        raise EnvironmentFault("HF_HUB_OFFLINE is set, so nothing can be uploaded. Unset it and try again.")
    return token
