"""Pure functions on tensors: no parameters, no state, no knowledge of the network."""
