"""How a panoptic map is read off: the argmax of P or Psi, and the rules that the paper compares itself with."""
