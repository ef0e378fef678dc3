"""`unipan push CHECKPOINT owner/name`."""

from functools import partial
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
    data: Annotated[str, arg(metavar="DATA")] = "scenes",
    limit: Annotated[int, arg(metavar="N")] = 20,
    dry_run: OptionalFolder = None,
    overwrite: Flag = False,
    json_file: JsonFile = None,
) -> Outcome:
    """Send a checkpoint to the Hugging Face Hub, where `hf:OWNER/NAME` is its name as a CHECKPOINT.

    Sent are the checkpoint, the graphs that lie beside it (`unipan export CHECKPOINT --beside`), and a model card with
    its classes, scores and settings; nothing else. Log in first: `hf auth login`, or HF_TOKEN.

    Args:
        checkpoint: see `options.CheckpointChoice`.
        repository: made if it is missing.
        private: make it a private repository; one that is public already is refused.
        onnx: make the graphs now, so that the checkpoint runs without PyTorch; see `unipan export --help`.
        data: with --onnx, images to compare on; best photographs like yours.
        limit: with --onnx, compare on the first N images; 0 takes all.
        dry_run: a new folder for what would be sent; nothing is, and no token is asked for.
        overwrite: replace files in the repository that `unipan push` did not write, and a card that was edited.
        json_file: see `options.JsonFile`.
    """
    from unipan.commands.progress import tracked
    from unipan.config_values import AMOUNT, check_value
    from unipan.datasets.sources import open_data, paths_read
    from unipan.files import checkpoint_path, require_new_folder
    from unipan.hub_download import repository_of
    from unipan.outputs import Outputs
    from unipan.publishing.gathering import gathered, require_graphs_possible, write_upload
    from unipan.publishing.sending import require_token, send

    check_value("--limit", limit, int, AMOUNT)
    repository_of(repository, "push")
    path = checkpoint_path(checkpoint)
    outputs = Outputs("push", [path, *paths_read(data)])
    outputs.claim_optional(json_file, "--json")
    if dry_run is None:
        require_token()
    else:
        require_new_folder(dry_run, "--dry-run")
    export = None
    if onnx:
        require_graphs_possible(checkpoint, path)
        images, _ = open_data(data)
        chosen = range(min(limit, len(images)) if limit > 0 else len(images))
        from unipan.export.write import export_beside, require_exporter

        require_exporter("onnx")
        export = partial(export_beside, data=images, chosen=tracked(chosen, "comparing with torch", len(chosen)))
    with gathered(path, repository, export) as upload:
        if upload.named_path is not None:
            tell(f"unipan: note: the config in {checkpoint} names {upload.named_path}, and is sent", error=True)
        if dry_run is not None:
            write_upload(upload, dry_run)
            return _outcome(repository, str(dry_run), upload.sizes, dry_run=True)
        done = send(upload, private, overwrite)
    for name in done.removed:
        tell(f"{name}: removed, of other weights")
    if done.kept_card:
        tell("README.md: kept, because it was edited; --overwrite replaces it")
    return _outcome(repository, done.url, done.sizes)


def _outcome(repository: str, place: str, sizes: dict[str, int], dry_run: bool = False) -> Outcome:
    """Say what was sent, and how to use it."""
    listed = ", ".join(f"{name} ({size / 1e6:.2f} MB)" for name, size in sizes.items())
    tell(f"{place}: {'would send' if dry_run else 'sent'} {listed}")
    if not dry_run:
        tell(f'to use it: unipan.Segmenter.load("hf:{repository}")')
    return Outcome({"repository": repository, "place": place, "files": sizes, "sent": not dry_run})


main = entry(push, "push")
