"""`unipan serve`: a local page that shows what a network thinks of an image, and takes corrections. Without torch."""
