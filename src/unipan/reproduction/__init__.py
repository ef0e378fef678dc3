"""The paper again: its ablations, tables and figures at the size of one's own data."""
