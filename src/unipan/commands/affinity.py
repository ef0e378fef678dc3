"""`unipan affinity CHECKPOINT IMAGE --pixel X Y --out PNG`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import Device, Flag, JsonFile, NetworkChoice, Overwrite, RuntimeChoice, entry
from unipan.terminal import tell


def draw_affinity(
    checkpoint: NetworkChoice,
    image: Annotated[Positional[Path], arg(metavar="IMAGE")],
    /,
    *,
    pixel: Annotated[tuple[int, int], arg(metavar="X Y")],
    out: Annotated[Path, arg(metavar="PNG")],
    plain: Flag = False,
    raw: Flag = False,
    overwrite: Overwrite = False,
    device: Device = "auto",
    runtime: RuntimeChoice = "auto",
    json_file: JsonFile = None,
) -> Outcome:
    """Draw the affinities of one pixel to all others: red attracts, blue repels, white is the average.

    Args:
        checkpoint: see `options.NetworkChoice`.
        image: A photograph.
        pixel: X and Y, counted from the upper left corner.
        out: The picture to write, a .png.
        plain: Draw the colour map only, without the grey image below it.
        raw: Draw affinities as the head predicts them, without subtracting their means.
        overwrite: see `options.Overwrite`.
        device: see `options.Device`.
        runtime: see `options.RuntimeChoice`.
        json_file: see `options.JsonFile`.
    """
    from unipan.files import network_path, write_atomically
    from unipan.outputs import Outputs, signature
    from unipan.panoptic.images import read_image

    if out.suffix.lower() != ".png":
        raise ValueError(f"--out {out}: the picture is a PNG; give a name that ends in .png")
    weights = network_path(checkpoint)
    outputs = Outputs("affinity", [weights, image], overwrite)
    outputs.claim(out, "--out")
    outputs.claim_optional(json_file, "--json")
    read_image(image, (0.0, 100.0))  # only to see that it can be read, before PyTorch is imported
    import numpy as np

    from unipan.panoptic.png import png_of_rgb
    from unipan.runtimes import open_network
    from unipan.visualization.heatmap import affinity_picture

    scene = open_network(checkpoint, device, runtime).scene(image)
    values = scene.affinity(*pixel, raw=raw)
    # The few strongest pixels would leave the rest pale.
    limit = float(np.quantile(np.abs(values), 0.995))
    picture = affinity_picture(values, pixel, None if plain else scene.image, limit)
    write_atomically(out, png_of_rgb(picture, signature("affinity")))
    tell(f"{out}: affinities of pixel {pixel}, from {values.min():.3g} to {values.max():.3g}")
    found = {"picture": str(out), "pixel": list(pixel), "low": float(values.min()), "high": float(values.max())}
    return Outcome(found)


main = entry(draw_affinity, "affinity")
