"""How good a panoptic map is: PQ with intervals, its variants, IoU, AP, errors. Parts merge with `a + b`. No torch."""
