"""What a trained network does on a dataset: its scores, its ceiling, which part is to blame, how fast it is."""
