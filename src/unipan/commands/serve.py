"""`unipan serve [CHECKPOINT]`."""

from typing import Annotated

from tyro.conf import Positional, arg

from unipan.commands.json_output import Outcome
from unipan.commands.options import Device, Flag, JsonFile, OptionalFolder, entry
from unipan.terminal import tell


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
    json_file: JsonFile = None,
) -> Outcome:
    """Open a page on this machine to look at affinities, correct boxes and annotate a folder of images.

    Args:
        checkpoint: A .safetensors file, or the name of a bundled one (`scenes`).
        images: A folder of photographs to go through. Pictures can also be dropped onto the page.
        out: The dataset for accepted images, in COCO panoptic format; run the same command again to continue it.
        device: see `options.Device`.
        host: The address to listen on. With 0.0.0.0, anyone on the network who has the printed token may use the page.
        port: The port to listen on; 0 takes a free one.
        megabytes: Largest file size of a picture.
        megapixels: Largest size of a picture, in millions of pixels.
        memory: Memory for open pictures, in GiB; when it is used up, the least recently used ones are closed.
        show: Open the page in the browser.
        json_file: see `options.JsonFile`; written when the server ends.
    """
    from unipan.server.plan import ServeOptions, plan_server
    from unipan.server.uploads import Limits

    options = ServeOptions(images, out, host, port, Limits(megabytes, megapixels), memory, show, json_file)
    plan = plan_server(checkpoint, options)
    tell(f"loading {checkpoint} ...", error=True)  # PyTorch alone may take seconds
    from unipan.inference import open_segmenter
    from unipan.server.run import serve

    return Outcome(serve(plan, checkpoint, open_segmenter(checkpoint, device)))


main = entry(serve_page, "serve")
