"""Which engine runs a network: torch, the reference, or onnxruntime, which is small and needs no torch."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unipan.config import Precision, Runtime
from unipan.files import is_export

if TYPE_CHECKING:
    from unipan.exported.scene import ExportedScene
    from unipan.exported.segmenter import ExportedSegmenter
    from unipan.inference import Segmenter
    from unipan.numpy_fusion.psi import Found
    from unipan.scene import Scene
    from unipan.structures import Detections

    AnySegmenter = Segmenter | ExportedSegmenter
    AnyScene = Scene | ExportedScene
    AnyDetections = Detections | Found
else:
    AnySegmenter = AnyScene = AnyDetections = Any


def open_network(
    source: str | Path, device: str = "auto", runtime: Runtime = "auto", precision: Precision = "32", threads: int = 0
) -> AnySegmenter:
    """A network, ready for images.

    Args:
        source: a .safetensors file, a bundled name, or the folder of an export.
        device: where torch runs it; onnxruntime takes the CPU.
        runtime: `auto` takes torch where it is installed, and onnxruntime for the folder of an export.
        precision: of torch; onnxruntime has 32 bits.
        threads: of one operation of onnxruntime, which keeps them from here on; 0 takes all cores.

    Raises:
        FileNotFoundError, ValueError: see `Segmenter.load` and `ExportedSegmenter.load`; also an export for torch.
        ModuleNotFoundError: the runtime is not installed.
    """
    folder = is_export(source)
    if folder and runtime == "torch":
        raise ValueError(f"--runtime torch: {source} is an export, which onnxruntime runs; give the checkpoint itself")
    if runtime == "onnx" or folder or (runtime == "auto" and find_spec("torch") is None):
        if precision != "32":
            raise ValueError(f"--precision {precision}: onnxruntime computes in 32 bits; leave it out")
        from unipan.exported.segmenter import ExportedSegmenter

        return ExportedSegmenter.load(source, device, threads=threads)
    from unipan.inference import open_segmenter

    return open_segmenter(str(source), device, precision)
