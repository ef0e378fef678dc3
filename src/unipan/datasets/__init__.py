"""Datasets: formats, the doctor, drawn scenes (no torch); loading and transforms for training (torch)."""
