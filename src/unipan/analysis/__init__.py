"""Measure a trained network on a dataset: scores, ceiling of its grid, oracle swaps, threshold search, speed."""
