"""`scenes`: procedural street scenes with exact truth, the data that is always there."""
