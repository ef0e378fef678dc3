"""`unipan push CHECKPOINT owner/name`."""

from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import CheckpointChoice, Flag, JsonFile, OptionalFolder, entry
from unipan.terminal import tell


def push(
    checkpoint: CheckpointChoice,
    repository: Annotated[Positional[str], arg(metavar="OWNER/NAME")],
    /,
    *,
    private: Flag = False,
    onnx: Flag = False,
    data: Annotated[str | None, arg(metavar="DATA", help_behavior_hint="")] = None,
    limit: Annotated[int, arg(metavar="N")] = 20,
    dry_run: OptionalFolder = None,
    overwrite: Flag = False,
    json_file: JsonFile = None,
) -> Outcome:
    """Publish a checkpoint on the Hugging Face Hub; `hf:OWNER/NAME` is then a CHECKPOINT.

    Only the checkpoint, the graphs next to it (`unipan export CHECKPOINT --beside`) and a model card with its classes,
    scores and settings are sent. Log in first, with `hf auth login` or HF_TOKEN.

    Args:
        checkpoint: see `options.CheckpointChoice`.
        repository: Created if it does not exist.
        private: Make the repository private; an existing public one is refused.
        onnx: Also make the graphs, so that the checkpoint runs without PyTorch; see `unipan export --help`.
        data: With --onnx, images to compare on, see `unipan export --help`; by default drawn scenes.
        limit: With --onnx, compare on the first N images; 0 takes all.
        dry_run: Write the files to this new folder and send nothing; no token is needed.
        overwrite: Replace files in the repository that `unipan push` did not write, and an edited card.
        json_file: see `options.JsonFile`.
    """
    from unipan.commands.progress import tracked
    from unipan.config_values import AMOUNT, check_value
    from unipan.datasets.unlabelled import images_read, open_images
    from unipan.files import checkpoint_path
    from unipan.hub_download import repository_of
    from unipan.outputs import Outputs
    from unipan.publishing.gathering import gathered, graph_maker, write_upload
    from unipan.publishing.sending import require_place, send

    check_value("--limit", limit, int, AMOUNT)
    repository_of(repository, "push")
    if data is not None and not onnx:
        raise ValueError(f"--data {data}: goes with --onnx, which compares the graphs on it; give both or none")
    path = checkpoint_path(checkpoint)
    outputs = Outputs("push", [path, *images_read(data or "scenes")])
    outputs.claim_optional(json_file, "--json")
    images, chosen, _ = open_images(data or "scenes", limit)
    require_place(dry_run)
    compared = tracked(chosen, "comparing with torch", len(chosen))
    export = graph_maker(checkpoint, path, images, compared) if onnx else None
    with gathered(path, repository, export) as upload:
        if dry_run is not None:
            write_upload(upload, dry_run)
            return _sent(repository, str(dry_run), upload.sizes, upload.notes, dry_run=True)
        done = send(upload, private, overwrite)
    return _sent(repository, done.url, done.sizes, [*upload.notes, *done.notes])


def _sent(repository: str, place: str, sizes: dict[str, int], notes: list[str], dry_run: bool = False) -> Outcome:
    """Say what was sent, and how to use it."""
    listed = ", ".join(f"{name} ({size / 1e6:.2f} MB)" for name, size in sizes.items())
    tell(f"{place}: {'would send' if dry_run else 'sent'} {listed}")
    for note in notes:
        tell(f"unipan: note: {note}", error=True)
    if not dry_run:
        tell(f'to use it: unipan.Segmenter.load("hf:{repository}")')
    return Outcome({"repository": repository, "place": place, "files": sizes, "sent": not dry_run})


main = entry(push, "push")
