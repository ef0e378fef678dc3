"""Array types with their shapes, as `Int32[np.ndarray, "H W"]`, for the packages that work without torch.

Type checkers and the tests, which check every shape while they run, see jaxtyping's types. Everywhere else a shape is
a comment, as `typing.Annotated` has it: importing jaxtyping takes half as long as importing numpy, and a command that
scores a few images should not wait for it.
"""

import sys
from typing import TYPE_CHECKING, Annotated

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Float32, Float64, Int32, Int64, Integer, Shaped, UInt8
else:
    Bool = Float = Float32 = Float64 = Int32 = Int64 = Integer = Shaped = UInt8 = Annotated

__all__ = ["Bool", "Float", "Float32", "Float64", "Int32", "Int64", "Integer", "Shaped", "UInt8"]
