"""`unipan demo`: the bundled checkpoint on freshly drawn street scenes."""
