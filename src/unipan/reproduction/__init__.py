"""The paper's ablations, tables and figures, at the size of your own data."""
