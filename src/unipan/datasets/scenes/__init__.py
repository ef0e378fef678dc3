"""`scenes`: procedural street scenes with exact ground truth, for which nothing needs to be downloaded."""
