"""The paper: one file per box of its Fig. 2."""
