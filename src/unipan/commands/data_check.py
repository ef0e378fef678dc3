"""`unipan data check DIR_OR_JSON`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import JsonFile, OptionalFolder, Overwrite, entry
from unipan.commands.progress import progress_of
from unipan.terminal import tell

CLEAN, FINDINGS, UNREADABLE = 0, 1, 2
"""Exit codes."""


def check(
    source: Annotated[Positional[Path], arg(metavar="DIR_OR_JSON")],
    /,
    *,
    fix: Annotated[Path | None, arg(metavar="OUT", help_behavior_hint="")] = None,
    json_file: JsonFile = None,
    images: OptionalFolder = None,
    panoptic: OptionalFolder = None,
    overwrite: Overwrite = False,
) -> Outcome | int:
    """Find everything that is wrong in a COCO panoptic dataset; docs/data.md lists the kinds of findings.

    Exit status: 0 nothing is wrong, 1 there are findings, 2 the dataset cannot be read.

    Args:
        source: A folder with images/, panoptic/ and panoptic.json, or a JSON (its PNGs are in its path without .json).
        fix: Write a repaired copy to this new folder; the source stays as it is.
        json_file: see `options.JsonFile`.
        images: Folder of the images, if it is not `images` next to the JSON.
        panoptic: Folder of the PNGs, if it is not the JSON's path without .json.
        overwrite: see `options.Overwrite`; --fix only writes new folders.
    """
    from unipan.datasets.doctor.diagnose import UnreadableError, diagnose, write_repaired
    from unipan.datasets.doctor.findings import REPORT_HEADER
    from unipan.datasets.formats.coco_panoptic import dataset_parts
    from unipan.outputs import Outputs

    outputs = Outputs("data check", [*dataset_parts(source), images, panoptic], overwrite)
    if fix is not None:
        outputs.claim_new_folder(fix, "--fix")
    outputs.claim_optional(json_file, "--json", REPORT_HEADER)
    try:
        with progress_of("examining") as progress:
            found = diagnose(source, images, panoptic, progress)
    except UnreadableError as error:
        tell(f"unipan: {error}", error=True)
        return UNREADABLE
    tell(found.report())
    if fix is not None:
        with progress_of("writing") as progress:
            path = write_repaired(found, fix, progress)
        left = sum(not finding.repairable for finding in found.findings)
        rest = f"; {left} findings that no program can repair remain in it" if left else ""
        tell(f"{path}: a repaired copy, {len(found.kept)} of {found.listed} images{rest}")
    return Outcome(found.to_json(), FINDINGS if found.findings else CLEAN, signed=False)


main = entry(check, "data check")
