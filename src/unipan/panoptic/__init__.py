"""What a panoptic segmentation is: categories, maps, segments, and how they are encoded in files. No torch."""
