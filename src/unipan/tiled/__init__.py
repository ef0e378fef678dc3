"""The network and the argmax on a picture that is too large for memory, in tiles, with the result of the whole."""
