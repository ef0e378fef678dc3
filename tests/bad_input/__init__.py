"""Hundreds of hostile and unlucky inputs through every door, and what becomes of each: outcomes.csv."""
