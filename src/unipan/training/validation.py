"""Validation during training: PQ under the experiment's own fusion and under the argmax of Psi.

The images are split over the processes, so that each is counted once.
"""

from functools import reduce
from operator import add

import numpy as np
import torch
from lightning_fabric import Fabric

from unipan.analysis.evaluate import Evaluation, evaluate
from unipan.config import Config, Fusion
from unipan.datasets.panoptic_data import PanopticData
from unipan.inference import Segmenter
from unipan.models.network import PanopticNetwork
from unipan.panoptic.categories import Categories
from unipan.training.run_folder import Figures


def validate(
    fabric: Fabric, network: PanopticNetwork, config: Config, categories: Categories, data: PanopticData
) -> Figures:
    """PQ under the experiment's own fusion and under the argmax of Psi, as fractions, and the mean IoU of V; None for a
    group of classes of which none occurs.

    Args:
        fabric: whose processes share the images.
        network: what is validated.
        config: of the experiment.
        categories: those of the network, in its order; the data may list the same names in another order.
        data: to validate on.
    """
    own = validation_images(config, data)[fabric.global_rank :: fabric.world_size]
    share_buffers(fabric, network)
    mode = network.training
    network.eval()
    segmenter = Segmenter(network, config, categories, {}, fabric.device)
    fusion = config.inference.fusion
    part = evaluate(segmenter, data, (fusion, "potential"), own)
    network.train(mode)
    return logged_scores(reduce(add, gather(fabric, part)), fusion)


def validation_images(config: Config, data: PanopticData) -> list[int]:
    """Indices of the images that are validated on, evenly spread over the data."""
    limit = config.train.validation_images or len(data)
    chosen: list[int] = np.unique(np.linspace(0, len(data) - 1, min(limit, len(data))).astype(int)).tolist()
    return chosen


def share_buffers(fabric: Fabric, network: PanopticNetwork) -> None:
    """Broadcast the batch norm statistics of the first process, which are the ones that are saved."""
    if fabric.world_size > 1:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


def gather(fabric: Fabric, part: Evaluation) -> list[Evaluation]:
    """The parts of all processes, on every process."""
    if fabric.world_size == 1:
        return [part]
    parts: list[Evaluation] = [part] * fabric.world_size
    torch.distributed.all_gather_object(parts, part)
    return parts


def logged_scores(found: Evaluation, fusion: Fusion = "affinity") -> Figures:
    """The columns of log.csv; those of `fusion` have no prefix."""
    row: Figures = {}
    for prefix, quality in (("", found.quality[fusion]), ("psi_", found.quality["potential"])):
        scores = quality.compute()
        for suffix, group in (("pq", "All"), ("pq_things", "Things"), ("pq_stuff", "Stuff")):
            each = scores[group]
            row[prefix + suffix] = each.pq if each else None
    row["miou"] = found.semantic.compute().mean
    return row
