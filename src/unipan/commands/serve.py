"""`unipan serve [CHECKPOINT]`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.options import Device, Flag, OptionalFolder, entry


def serve_page(
    checkpoint: Annotated[Positional[str], arg(metavar="CHECKPOINT")] = "scenes",
    /,
    *,
    images: OptionalFolder = None,
    out: OptionalFolder = None,
    device: Device = "auto",
    host: Annotated[str, arg(metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, arg(metavar="N")] = 8350,
    megabytes: Annotated[float, arg(metavar="MB")] = 50.0,
    megapixels: Annotated[float, arg(metavar="MP")] = 25.0,
    memory: Annotated[float, arg(metavar="GIB")] = 1.0,
    show: Flag = False,
) -> None:
    """A page on this machine: click a pixel for its affinities, move boxes and see the map change, annotate a folder.

    Args:
        checkpoint: a .safetensors file, or the name of a bundled one (`scenes`).
        images: a folder of photographs to go through. Pictures can also be dropped onto the page.
        out: the dataset that accepted images become, in COCO panoptic format; the same command goes on with it.
        device: see `options.Device`.
        host: the address to listen on. Beyond this machine (0.0.0.0), whoever has the printed token may use the page.
        port: 0 takes a free one.
        megabytes: the largest file of one picture.
        megapixels: the largest picture, in millions of pixels.
        memory: what pictures that are open may hold; those that were not used for longest are let go.
        show: open the page in the browser.
    """
    from unipan.server.plan import ServeOptions, plan_server
    from unipan.server.uploads import Limits

    options = ServeOptions(images, out, host, port, Limits(megabytes, megapixels), memory, show)
    plan = plan_server(checkpoint, options)
    from unipan.inference import open_segmenter
    from unipan.server.run import serve

    serve(plan, Path(checkpoint).stem, open_segmenter(checkpoint, device))


main = entry(serve_page, "serve")
