"""Thousands of damaged and hostile inputs to every command and function, and the outcome of each: outcomes.csv."""
