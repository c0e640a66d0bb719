"""Send a folder that was written to the Hugging Face Hub; nothing does so unless a person names the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from synaug.errors import EnvironmentFault, OptionError

Kind = Literal["dataset", "model"]


def push_folder(folder: Path, repository: str, *, kind: Kind, private: bool = False) -> str:
    """Upload a folder and return its address; a repository that is not there is made.

    Args:
        folder: what goes there, whole.
        repository: ``USER/NAME``.
        kind: of repository.
        private: make the repository private; one that is public already is refused.

    Raises:
        OptionError: the name is no repository's, or privacy is wanted of a public repository.
        EnvironmentFault: there is no token or no network, or the Hub refuses.
    """
    import huggingface_hub

    token = checked_token(repository)
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
    except Exception as error:  # the Hub's client passes on what its HTTP library of the day raises
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise EnvironmentFault(
            f"{folder} is written, but could not be uploaded to {repository}: {first}. Check the network and that "
            f"the token may write there, then send it with: hf upload {repository} {folder} --repo-type {kind}"
        ) from error
    return str(url)


def checked_token(repository: str) -> str:
    """Return the token to write with, after a look at the repository's name.

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
