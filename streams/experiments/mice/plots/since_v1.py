"""Which plots have changed since books were stored in the first layout."""

OTHER_SINCE_V1 = frozenset(
    {"raw_v1724_pedestal", "raw_v1724_charge_mm", "raw_v1731_charge_mm", "SP_TkU", "SP_TkD", "Ch_SumU", "Ch_SumD"}
    | {f"hpmthits{station}{plane}{pmt}" for station in range(3) for plane in range(2) for pmt in range(2)}
    | {f"{name}{pmt}" for name in ("hPMT", "harr_time") for pmt in range(1, 9)}
    | {f"DC_Tk{side}{station}{plane}" for side in "UD" for station in range(1, 6) for plane in range(3)}
    | {"h1", "h2"}
    | {f"Tr{tracker}pStSp{kind}" for tracker in (1, 2) for kind in ("", "_2", "_3")}
)
"""Plots that have had other axes since, or are filled with something else, or otherwise where it lies on edges."""
