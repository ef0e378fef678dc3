"""Data: scenes, COCO panoptic folders, transforms, loading."""
