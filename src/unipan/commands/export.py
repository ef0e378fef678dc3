"""`unipan export CHECKPOINT --out DIR`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import CheckpointChoice, Flag, JsonFile, OptionalFolder, Overwrite, entry
from unipan.terminal import tell


def export(
    checkpoint: CheckpointChoice,
    /,
    *,
    out: OptionalFolder = None,
    beside: Flag = False,
    data: Annotated[str, arg(metavar="DATA")] = "scenes",
    limit: Annotated[int, arg(metavar="N")] = 20,
    format: Literal["onnx"] = "onnx",
    int8: Flag = False,
    overwrite: Overwrite = False,
    json_file: JsonFile = None,
) -> Outcome:
    """Make graphs of a network that run without PyTorch, in DIR: dense.onnx, head.onnx, masks.onnx and model.json.

    First the graphs are compared with PyTorch on some images. If more than 0.1 % of the pixels get another segment, or
    PQ differs by more than 0.05, nothing is written.

    Args:
        checkpoint: see `options.CheckpointChoice`.
        out: Folder of the export, created if missing.
        beside: Write the graphs next to CHECKPOINT and use its weights; then its name alone is enough.
        data: Images to compare on: a folder of photographs like yours, with or without a truth (see `unipan evaluate
            --help`), or scenes.
        limit: Compare on the first N images; 0 takes all.
        format: File format of the graphs.
        int8: Let the convolutions compute in 8-bit integers, calibrated on DATA; refused where this is not faster on
            this processor, or where PQ falls by more than 0.5.
        overwrite: see `options.Overwrite`.
        json_file: see `options.JsonFile`.
    """
    from unipan.commands.progress import progress_bar
    from unipan.config_values import AMOUNT, check_value
    from unipan.datasets.unlabelled import images_read, open_images
    from unipan.exported.graphs import EXPORT_FILES, check_same_network, own_files_beside
    from unipan.files import checkpoint_path
    from unipan.outputs import Outputs

    check_value("--limit", limit, int, AMOUNT)
    _check_place(checkpoint, out, beside, int8)
    path = checkpoint_path(checkpoint)
    beside_it = own_files_beside(path)  # damage is told before the exporter is imported, which takes seconds
    outputs = Outputs("export", [path, *images_read(data)], overwrite)
    if out is None:
        outputs.claim_all(beside_it, "--beside")
    else:
        outputs.claim_folder(out, "--out", EXPORT_FILES)
        check_same_network(out, path, overwrite)
    outputs.claim_optional(json_file, "--json")
    images, chosen, note = open_images(data, limit)
    from unipan.export.write import require_exporter, write_export

    require_exporter(format)
    with progress_bar("comparing with torch", len(chosen) * (1 + int8)) as step:
        parity = write_export(path, out, outputs, images, chosen, step, int8)
    written = [str(each) for each in (beside_it if out is None else [out])]
    tell(f"{', '.join(written)}: {checkpoint}, compared with torch on {note}")
    tell(*parity.lines())
    return Outcome({"written": written, "compared": parity.to_json()})


def _check_place(checkpoint: str, out: Path | None, beside: bool, int8: bool) -> None:
    """Raises ValueError unless there is one place for the graphs, which can hold them."""
    from unipan.hub_download import require_own_place

    if (out is None) != beside:
        raise ValueError("export: give --out DIR for a folder that needs nothing else, or --beside; one of them")
    if beside and int8:
        raise ValueError("--int8: --beside takes the weights of the checkpoint, which have 32 bits; give --out DIR")
    if beside:
        require_own_place(checkpoint, "--beside")


main = entry(export, "export")
