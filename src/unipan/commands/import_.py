"""`unipan import SOURCE --out FILE`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import Flag, JsonFile, OptionalFile, Overwrite, entry
from unipan.terminal import tell

SOURCES = ("detectron2", "torchvision")


def import_(
    source: Annotated[Positional[str], arg(metavar="SOURCE")],
    /,
    out: Annotated[Path, arg(metavar="FILE")],
    file: OptionalFile = None,
    half: Flag = False,
    overwrite: Overwrite = False,
    json_file: JsonFile = None,
) -> Outcome:
    """Make a unipan checkpoint from public weights. No foreign code is run; every tensor is accounted for.

    Args:
        source: `detectron2:FILE`, the .pkl or .pth of a panoptic_fpn_R_50_1x, R_50_3x or R_101_3x on COCO;
            or `torchvision:maskrcnn_resnet50_fpn` or `torchvision:fasterrcnn_resnet50_fpn`, downloaded by torchvision.
        out: The checkpoint to write (.safetensors), for `predict`, `evaluate` and `train --init`.
        file: Torchvision's weights (.pth), if they are downloaded already; then nothing is fetched.
        half: Store the weights in 16 bits, at half the size.
        overwrite: see `options.Overwrite`.
        json_file: see `options.JsonFile`.
    """
    from unipan.interop.sources import require_source
    from unipan.outputs import Outputs

    kind, _, name = source.partition(":")
    if kind not in SOURCES or not name:
        raise ValueError(f"import: {source!r} is no source; give detectron2:FILE or torchvision:maskrcnn_resnet50_fpn")
    if out.suffix != ".safetensors":
        raise ValueError(f"--out {out}: a checkpoint ends in .safetensors; give such a name")
    if kind == "detectron2" and file is not None:
        raise ValueError(f"--file {file}: goes with torchvision:NAME; for detectron2 give detectron2:{file}")
    outputs = Outputs("import", [Path(name) if kind == "detectron2" else file], overwrite)
    outputs.claim(out, "--out")
    outputs.claim_optional(json_file, "--json")
    require_source(kind, name, file)
    from unipan.checkpoint import save_checkpoint
    from unipan.interop.detectron2 import from_detectron2
    from unipan.interop.torchvision import from_torchvision

    found = from_detectron2(Path(name)) if kind == "detectron2" else from_torchvision(name, file)
    save_checkpoint(out, found.state, found.config, found.categories, found.metrics, half)
    things, stuff = len(found.categories.things), len(found.categories.stuff)
    tell(
        f"{out}: {found.config.name}, {things} things + {stuff} stuff of COCO; {found.moved} tensors of "
        f"{source} taken, none left over, none missing\n{found.metrics['status']}"
    )
    made = {"checkpoint": str(out), "name": found.config.name, "things": things, "stuff": stuff}
    return Outcome({**made, "tensors": found.moved, **found.metrics})


main = entry(import_, "import")
