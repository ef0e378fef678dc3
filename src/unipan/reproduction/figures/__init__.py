"""The paper's Figures 1, 6, 7, I, J and K of any checkpoint: examples chosen by measure, drawn as panels, on a page."""
