"""Tests of unipan.tiled."""
