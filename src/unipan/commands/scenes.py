"""`unipan scenes --count N --seed S --out DIR`."""

from typing import Annotated

from tyro.conf import arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import Folder, JsonFile, entry
from unipan.terminal import tell


def write_scenes(
    *,
    out: Folder,
    count: Annotated[int, arg(metavar="N")] = 100,
    seed: Annotated[int, arg(metavar="S")] = 0,
    size: Annotated[tuple[int, int], arg(metavar="H W")] = (128, 256),
    json_file: JsonFile = None,
) -> Outcome:
    """Draw street scenes with exact ground truth and write them as a COCO panoptic dataset.

    Args:
        count: Number of scenes.
        seed: Seed of the first scene; the others follow. The bundled checkpoint was trained on seeds below 990000;
            seeds from 1000000 on are held out.
        out: Folder of the dataset: images/, panoptic/ and panoptic.json.
        size: Height and width in pixels.
        json_file: see `options.JsonFile`.
    """
    from unipan.config_values import COUNT, PIXELS, SEED, check_value

    if count < 1:
        raise ValueError(f"--count {count}: at least one scene is needed")
    if seed < 0:
        raise ValueError(f"--seed {seed}: seeds start at 0")
    if min(size) < 1:
        raise ValueError(f"--size {size[0]} {size[1]}: both must be at least 1")
    check_value("--count", count, int, COUNT)
    check_value("--seed", seed, int, SEED)
    check_value("--size", size, tuple[int, int], PIXELS)
    if (out / "panoptic.json").exists():
        raise ValueError(f"--out {out}: it has a dataset already; give an empty folder")
    from unipan.datasets.scenes.generator import HELD_OUT, SCENE_CATEGORIES, Scenes
    from unipan.outputs import Outputs

    outputs = Outputs("scenes")
    outputs.claim_optional(json_file, "--json")
    outputs.claim_new_folder(out, "--out")
    from unipan.commands.progress import tracked
    from unipan.datasets.formats.coco_panoptic import write_coco_panoptic
    from unipan.files import folder_atomically

    drawn = Scenes(range(seed, seed + count), size)
    with folder_atomically(out, "--out") as folder:  # so that the same command works after it was interrupted
        write_coco_panoptic(folder, tracked(drawn, "drawing", count), SCENE_CATEGORIES)
    path = out / "panoptic.json"
    held = "held out" if seed >= HELD_OUT else f"held out are those from {HELD_OUT} on"
    what = f"{count} scene{'s' * (count != 1)} of {size[0]} x {size[1]} pixels"
    tell(f"{path}: {what}, seeds {seed}..{seed + count - 1} ({held})")
    made = {"path": str(path), "scenes": count, "size": list(size), "seeds": [seed, seed + count - 1]}
    return Outcome({**made, "held_out": seed >= HELD_OUT})


main = entry(write_scenes, "scenes")
