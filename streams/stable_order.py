"""The order that sorts a column of whole numbers, found several times as fast as numpy's own stable one."""

import numpy as np
import numpy.typing as npt

from schemas.columns import I8


def stable_order(column: npt.NDArray[np.integer]) -> I8:
    """Return (n,) the rows in the order of their numbers, (n,), equal ones in the order in which they stand.

    numpy sorts numbers themselves with the processor's vector instructions, but not their places: so each number takes
    its place along in its low bits, if both fit into 63.
    """
    n = len(column)
    if n == 0:
        return np.empty(0, np.int64)
    low, high = int(column.min()), int(column.max())
    bits = n.bit_length()
    if (high - low).bit_length() + bits > 63:
        order: I8 = np.argsort(column, kind="stable")
        return order
    packed: I8 = (column.astype(np.int64) - low) << bits | np.arange(n)
    packed.sort()
    packed &= (1 << bits) - 1
    return packed
