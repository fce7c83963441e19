"""The order that sorts a column of whole numbers, found faster than numpy finds it by itself."""

import numpy as np
import numpy.typing as npt

from schemas.columns import I8

_RADIX = 1 << 16
"""numpy sorts numbers of 16 bits digit by digit, in a time that does not depend on their order."""


def stable_order(column: npt.NDArray[np.integer]) -> I8:
    """Return (n,) the rows in the order of their numbers, (n,), equal ones in the order in which they stand.

    Numbers close together are sorted as ones of 16 bits. Of others numpy merges what is in order already, which is
    most of what boards send.
    """
    if len(column) and int(column.max()) - int(column.min()) < _RADIX:
        column = (column - column.min()).astype(np.uint16)
    order: I8 = np.argsort(column, kind="stable")
    return order
