"""Training and evaluation; the only folder that knows the training engine (Lightning Fabric)."""
