"""Dataset formats, one file each: how it is read and how it is written."""
