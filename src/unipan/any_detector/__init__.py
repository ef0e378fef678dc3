"""The paper's panoptic head for detectors that are not ours: `fuse` without training, `PanopticHead` with it."""
