"""`unipan export --int8`: the convolutions of dense.onnx in 8-bit integers, on processors where that pays.

onnxruntime's static quantisation: weights have a scale for each output channel, activations one that holds what images
of the user's kind were seen to need.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unipan.config import DataConfig
from unipan.datasets.panoptic_data import PanopticData
from unipan.export.parity import Parity
from unipan.exported.pixels import network_input

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnxruntime import InferenceSession
else:
    ModelProto = InferenceSession = Any

CALIBRATION = 16
"""Images on which the range of every activation is measured."""
MOST_PQ_LOST = 0.005
"""As a fraction; more is no bargain."""
MOST_MOVED = 0.02
"""Share of pixels that may get another segment where PQ cannot be measured."""
MOST_TIME = 0.9
"""Of the time in 32 bits; above, files that everybody can check against torch are worth more."""
_ROUNDS = 3

Feed = dict[str, np.ndarray]
"""The inputs of dense.onnx."""


@dataclass(frozen=True)
class Int8:
    """What 8-bit integers gain.

    Attributes:
        images: that they were calibrated on.
        time: of dense.onnx relative to 32 bits, on this processor.
        size: of its file relative to 32 bits.
    """

    images: int
    time: float
    size: float

    def to_json(self) -> dict[str, Any]:
        """For `model.json`."""
        return {"calibrated_on": self.images, "time_relative_to_32_bits": self.time}

    def line(self) -> str:
        """What a person is told."""
        return (
            f"8-bit integers, calibrated on {self.images} image{'s' * (self.images != 1)}: dense.onnx takes "
            f"{self.time:.2f} of the time of 32 bits on this processor, and {self.size:.2f} of the space"
        )

    def require_faster(self) -> None:
        """The gate that takes seconds. Raises ValueError if there is hardly a gain on this processor."""
        if self.time > MOST_TIME:
            raise ValueError(
                f"export --int8: on this processor 8-bit integers take {self.time:.2f} of the time of 32 bits, so they "
                "do not pay; leave out --int8, or export on the machine that will run it; nothing was written"
            )

    def require_alike(self, parity: Parity) -> None:
        """The gate for what the quantised network does. Raises ValueError if it does too much otherwise than torch."""
        if parity.pq is None:
            lost, allowed = f"{parity.share:.2%} of the pixels get another segment", f"{MOST_MOVED:.0%} are"
            too_much = parity.share > MOST_MOVED
        else:
            lost = "PQ falls from {:.2f} to {:.2f}".format(*(100 * each for each in parity.pq))
            allowed, too_much = f"{100 * MOST_PQ_LOST:.1f} is", parity.pq[0] - parity.pq[1] > MOST_PQ_LOST
        if too_much:
            raise ValueError(
                f"export --int8: {lost} (at most {allowed} allowed); give more photographs of the kind that the "
                "network will see (--data), or leave out --int8; nothing was written"
            )


def calibration_images(data: PanopticData, compared: Sequence[int]) -> list[int]:
    """Which images to calibrate on: others than those that are compared, as far as there are any."""
    others = sorted({*range(min(len(data), len(compared) + CALIBRATION))} - {*compared})
    return [*others, *compared][:CALIBRATION]


def feeds(
    data: PanopticData, chosen: Iterable[int], config: DataConfig, fill: tuple[float, float, float]
) -> Iterator[Feed]:
    """The inputs of dense.onnx for these images."""
    for index in chosen:
        pixels, size = network_input(data[index].image, config, fill)
        yield {"pixels": pixels, "size": size}


def quantise(dense: ModelProto, images: Iterable[Feed]) -> ModelProto:
    """A graph whose convolutions compute in 8-bit integers; at least one image."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter(images)

        def get_next(self) -> Feed | None:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as name, _only_errors():
        merged, made = Path(name) / "merged.onnx", Path(name) / "int8.onnx"
        _merge_batch_norm(dense, merged)
        quantize_static(merged, made, Reader(), QuantFormat.QDQ, op_types_to_quantize=["Conv"], per_channel=True)
        model = onnx.load(made)
    model.producer_name, model.producer_version = dense.producer_name, dense.producer_version
    del model.metadata_props[:]
    model.metadata_props.extend(dense.metadata_props)
    return model


def relative_time(one: InferenceSession, other: InferenceSession, images: Sequence[Feed]) -> float:
    """Processor time of one session relative to another's, the median of runs in turn."""
    ratios = []
    for feed in [images[0], *chain.from_iterable(repeat(images, _ROUNDS))]:  # the first run sets both up
        taken = []
        for session in (one, other):
            start = time.process_time()
            session.run(None, feed)
            taken.append(time.process_time() - start)
        ratios.append(taken[0] / taken[1])
    return statistics.median(ratios[1:])


def _merge_batch_norm(dense: ModelProto, path: Path) -> None:
    """Let onnxruntime write what it makes of a graph in standard operators: a norm between would stay in 32 bits."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath, options.log_severity_level = str(path), 3
    ort.InferenceSession(dense.SerializeToString(), options, providers=["CPUExecutionProvider"])


@contextmanager
def _only_errors() -> Iterator[None]:
    """The quantiser recommends a preparation, through the root logger, that has been made already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
