"""Sec. 3.3: boxes B, scores s, classes c and masks M."""
