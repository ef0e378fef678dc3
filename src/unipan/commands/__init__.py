"""The verbs of the command line, one module each. They import torch only once their options make sense."""
