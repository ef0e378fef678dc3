"""`unipan predict`: which images to segment under which ids, what a test server wants, and the loop over them."""
