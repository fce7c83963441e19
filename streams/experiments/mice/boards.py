"""The boards that the DAQ reads out, how a channel is addressed, and by which definitions pulses have features."""

from enum import StrEnum

from streams.date import framing

VLSB_C = 80
"""Tracker board, cosmic format: its four banks in one equipment."""
V977 = 101
"""Trigger receiver."""
V1290 = 102
"""TDC."""
V830 = 111
"""Scaler."""
V1724 = 120
"""FADC of 14 bits."""
V1731 = 121
"""FADC of 8 bits."""
DBB, DBB_CHAIN = 141, 143
"""Digitiser buffer board of the EMR, alone, and six of them in a chain."""
VLSB_MASTER = 130
"""Counts the triggers of the tracker boards."""
VLSB_BOARD = 131
"""Tracker board: how many words each of its four banks has."""
VLSB = 132
"""A bank of a tracker board."""
V1495 = 151
"""Trigger engine."""
EI = 201
"""EPICS interface."""
BOARD_NAMES = {
    V977: "V977",
    V1290: "V1290",
    V830: "V830",
    V1724: "V1724",
    V1731: "V1731",
    V1495: "V1495",
    EI: "EI",
    DBB: "DBB",
    DBB_CHAIN: "DBB chain",
    VLSB_C: "VLSB_C",
    VLSB_MASTER: "VLSBMaster",
    VLSB_BOARD: "VLSB board",
    VLSB: "VLSB",
}
"""Equipment type, in DATE's equipment headers and in channel keys → name."""

BANKS, BANK_CHANNELS, BANKS_OF_BOARD = 64, 128, 4
"""Bounds of a channel of the trackers' boards: a bank is known by ``board * BANKS_OF_BOARD`` + its place in it."""
COSMIC_GEOS = range(1, BANKS // BANKS_OF_BOARD + 1)
"""Geos of the boards in the cosmic format, board by board: files of the experiment have 1 to 16."""

LDCS, GEOS, CHANNELS = framing.LDCS, 32, 32
"""Bounds of a channel's address: geo and channel have five bits."""
DBB_GEOS, DBB_CHANNELS = 64, 64
"""The same bounds of a digitiser buffer board's address: six bits each."""
DBB_MAX_EDGES = 0x1FFF
"""Edges that such a board can tell of a spill: it counts them with 13 bits."""


class PulseDefinitions(StrEnum):
    """Whose definitions the features of FADC pulses follow (facts: spill-json, 2)."""

    UNTIL_2012 = "until_2012"
    """Pedestal of the first 20 samples; of a V1724 no area, minimum or arrival time."""
    SINCE_2013 = "since_2013"
    """Pedestal of the 30 samples away from the minimum."""
