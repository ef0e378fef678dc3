"""Exported networks on onnxruntime: the same results as `unipan.inference`, without torch."""
