"""How good a panoptic map is: PQ with intervals, IoU, AP. Accumulators merge with `a + b`."""
