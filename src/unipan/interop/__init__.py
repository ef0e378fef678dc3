"""Public weights of other code bases, made into checkpoints of unipan."""
