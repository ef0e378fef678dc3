"""The data doctor: what is wrong in a COCO panoptic dataset, and a repaired copy of it."""
