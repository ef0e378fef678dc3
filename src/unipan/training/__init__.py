"""Training: the only folder that knows the training engine (Lightning Fabric)."""
