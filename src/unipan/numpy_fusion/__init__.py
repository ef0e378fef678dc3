"""Potential, affinity and the fusions in NumPy, for `unipan.fuse` and exported networks without torch.

`painting` also serves `fusion/`.

The modules of `models/` and `fusion/` are the reference: the tests compare every function here with theirs.
"""
