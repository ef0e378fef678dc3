"""How a panoptic map is made from the network's output: the argmax of P or Psi, and the rules of the baselines.

Every fusion is a function of the network's output for one image, the classes, the image's geometry and the config; a
new one needs a line in FUSIONS and its name in `config.Fusion`.
"""

from collections.abc import Callable

from unipan.config import Config, Fusion
from unipan.fusion.argmax import affinity, potential
from unipan.fusion.heuristic import heuristic_fusion
from unipan.fusion.upsnet import upsnet_fusion
from unipan.panoptic.categories import Categories
from unipan.panoptic.maps import PanopticMap
from unipan.structures import Geometry, PanopticOutput

FUSIONS: dict[Fusion, Callable[[PanopticOutput, Categories, Geometry, Config], PanopticMap]] = {
    "affinity": affinity,
    "potential": potential,
    "heuristic": heuristic_fusion,
    "upsnet": upsnet_fusion,
}
