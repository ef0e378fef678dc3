"""`unipan export`: a trained network as ONNX graphs that run without torch, made from the modules of `models/`."""
