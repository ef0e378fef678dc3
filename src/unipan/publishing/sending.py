"""The conversation of `unipan push` with the Hugging Face Hub, in the end one commit: readers see the old files or the
new ones."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unipan.files import require_new_folder
from unipan.hub_download import HUB_GRAPHS, hub_call
from unipan.publishing.card import CARD, is_ours
from unipan.publishing.gathering import Upload


@dataclass(frozen=True)
class Pushed:
    """What became of an upload.

    Attributes:
        sizes: bytes of what was sent, by name.
        removed: graphs of other weights that the repository had.
        kept_card: whether the repository keeps a card that somebody has written or changed.
        url: of the commit.
    """

    sizes: dict[str, int]
    removed: list[str]
    kept_card: bool
    url: str

    @property
    def notes(self) -> list[str]:
        """What is otherwise than expected."""
        card = ["README.md of the repository was edited and is kept; --overwrite replaces it"] * self.kept_card
        return [f"{name} of the repository belonged to other weights and was removed" for name in self.removed] + card


def require_place(dry_run: Path | None) -> None:
    """Look whether an upload will have a place, before any work.

    Args:
        dry_run: a new folder; None is the Hub.

    Raises:
        ValueError: this machine is not logged in to the Hub, or the folder cannot be made.
    """
    if dry_run is not None:
        require_new_folder(dry_run, "--dry-run")
        return
    with hub_call("push"):
        from huggingface_hub import get_token

        if get_token() is None:
            raise ValueError(
                "push: there is no token of the Hugging Face Hub; log in with `hf auth login`, or set HF_TOKEN to one "
                "that may write"
            )


def send(upload: Upload, private: bool, overwrite: bool) -> Pushed:
    """Make the repository, if it is missing, and send all files.

    Args:
        upload: the files.
        private: the repository must be; one that is made now will be.
        overwrite: replace files that `unipan push` has not written, and a card that was changed since.

    Raises:
        ValueError: the repository has such files, or is public.
        OSError: the Hub refuses, or cannot be reached.
    """
    what = f"push {upload.repository}"
    with hub_call(what):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        hub = HfApi(library_name="unipan")
        hub.create_repo(upload.repository, private=private or None, exist_ok=True)
        found = hub.model_info(upload.repository)
        if private and not found.private:
            raise ValueError(
                f"{what}: the repository is there already, and public; make it private in its settings, or leave out "
                "--private"
            )
        there = {each.rfilename for each in found.siblings or ()}
        card = _card_of(hub, upload.repository) if CARD in there else None
        if not overwrite:
            _require_own(what, there & {*upload.files, *HUB_GRAPHS}, card)
        kept_card = not (overwrite or card is None or is_ours(card))
        contents: dict[str, Path | bytes] = dict(upload.files)
        if not kept_card:
            contents[CARD] = upload.card.encode()
        removed = sorted((there & set(HUB_GRAPHS)) - set(upload.files))
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(name, content) for name, content in contents.items()),
            *(CommitOperationDelete(name) for name in removed),
        ]
        # Whoever has pushed in between gets no surprise: the Hub then refuses this commit.
        commit = hub.create_commit(
            upload.repository, operations, commit_message="unipan push", parent_commit=found.sha or None
        )
    return Pushed({name: upload.sizes[name] for name in contents}, removed, kept_card, str(commit.commit_url))


def _card_of(hub: Any, repository: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return Path(hub.hf_hub_download(repository, CARD, local_dir=folder)).read_text(errors="replace")


def _require_own(what: str, present: set[str], card: str | None) -> None:
    """Raises ValueError for a repository that has files of these names from somebody else."""
    if present and "unipan push" not in (card or ""):
        raise ValueError(
            f"{what}: the repository has {', '.join(sorted(present))} already, and its card does not say that `unipan "
            "push` wrote it; give another name, or --overwrite"
        )
