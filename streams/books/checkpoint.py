"""One checkpoint: what it changes, and the script that compares and writes it in one atomic step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from streams.books import layout
from streams.books.cells import Cells
from streams.books.layout import Keys
from streams.books.run import Handling
from streams.books.stored import PartitionState, StoredPart, pack_part, pack_state
from streams.books.windows import Window
from streams.plots.spillfacts import LedgerEntry

# KEYS[1] is the state, ARGV[1] the fence that it must have, ARGV[2] the channel to announce the change on. Then, for
# each of the other KEYS in turn, what to do with it, how many values follow, and those: 'set' (a hash: the stamp that
# it must have, then fields and values), 'new' (fields and values of a hash in place of what is there), 'hdel' (fields),
# 'zadd' (score, member), 'del'. All is compared before anything is written: a script is not taken back. Nor is a key
# removed that is written then: where its slot moves to another node of a Cluster, that ends the script in the middle.
COMPARE_AND_SET = """
local state = redis.call('TYPE', KEYS[1]).ok
if state ~= 'hash' and state ~= 'none' then return 'refused' end
if (redis.call('HGET', KEYS[1], 'fence') or '') ~= ARGV[1] then return 'refused' end
local commands = {set = 'HSET', new = 'HSET', hdel = 'HDEL', zadd = 'ZADD'}
local kinds = {set = 'hash', hdel = 'hash', zadd = 'zset'}
local at = 3
for i = 2, #KEYS do
  local kind, there = kinds[ARGV[at]], redis.call('TYPE', KEYS[i]).ok
  if kind and there ~= kind and there ~= 'none' then return KEYS[i] end
  if ARGV[at] == 'set' and ARGV[at + 2] ~= '*' and redis.call('HGET', KEYS[i], '') ~= ARGV[at + 2] then
    return KEYS[i]
  end
  at = at + 2 + tonumber(ARGV[at + 1])
end
at = 3
for i = 2, #KEYS do
  local command, last = ARGV[at], at + 1 + tonumber(ARGV[at + 1])
  local former = command == 'new' and redis.pcall('HKEYS', KEYS[i]) or {}
  if command == 'del' or former.err then redis.call('DEL', KEYS[i]) end
  -- pairs are kept together; unpack has a limit of some thousand values
  for from = command == 'set' and at + 3 or at + 2, last, 1000 do
    redis.call(commands[command], KEYS[i], unpack(ARGV, from, math.min(from + 999, last)))
  end
  local fields = {}
  for field = at + 2, #former > 0 and last or 0, 2 do fields[ARGV[field]] = true end
  for _, field in ipairs(former) do
    if not fields[field] then redis.call('HDEL', KEYS[i], field) end
  end
  at = last + 1
end
redis.call('PUBLISH', ARGV[2], KEYS[1])
return 'written'
"""
REFUSED, WRITTEN = b"refused", b"written"
"""What the script answers; else it is the name of a key that is not as it was left, and nothing was written."""
_ANY = "*"
"""In place of a stamp: any will do."""


@dataclass(slots=True, kw_only=True)
class RunChanges:
    """What a checkpoint changes in a part of a run."""

    stored: StoredPart
    """Of which totals and offset are written as they are."""
    place: layout.Place | None
    """What the list of runs is to say; None leaves it as it is."""
    ledger: dict[int, LedgerEntry] = field(default_factory=dict)
    """The new entries."""
    handling: dict[int, Handling] = field(default_factory=dict)
    """Of the spills in them."""
    key_numbers: dict[int, bytes] = field(default_factory=dict)
    """Of the spills in them, see `spill_numbers`."""
    channel_counts: dict[int, bytes] = field(default_factory=dict)
    """Of the spills in them, see `streams.checks.channels`."""
    plots: dict[str, Cells] = field(default_factory=dict)
    """The changed plots, whole."""
    windows: dict[Window, dict[str, Cells]] = field(default_factory=dict)
    """A window → its changed plots, whole."""
    expired: list[Window] = field(default_factory=list)
    """Windows that were joined to longer ones."""
    duplicates: int = 0
    """Spills that came again with the same bytes."""


class Commands:
    """What a checkpoint writes, in the order in which it does.

    1. For each run, its new ledger entries with what is kept of each spill, changed histograms of run and windows, and
       totals; the windows that are no longer kept are deleted. Of one that is retired, all but the totals is.
    2. The places of the runs.
    3. How far the partition is.

    The parts' stamps become those of this checkpoint.

    Parameters
    ----------
    keys
        Of the partition.
    state
        That is to be written, with its fence.
    runs
        What changes in them.
    """

    def __init__(self, keys: Keys, state: PartitionState, runs: Mapping[int, RunChanges]) -> None:
        self.keys: list[str] = []
        """Those that are written."""
        self.arguments: list[Any] = []
        """What is done to each, as the script takes it."""
        self.owners: dict[str, int] = {}
        """Key → the run whose it is."""
        self._fence = state.fence
        for run, changes in runs.items():
            self._change(keys, run, changes)
            self._add(keys.changed, "zadd", [state.number, run])
        places = {run: layout.pack_place(changes.place) for run, changes in runs.items() if changes.place is not None}
        if places:
            self._grow(keys.index, state.index, places)
            state = replace(state, index=state.fence)
        self.state = state
        """As it is written."""
        self._add(keys.state, "new", _flat(pack_state(state)))

    def _change(self, keys: Keys, run: int, changes: RunChanges) -> None:
        if changes.stored.retired:
            self._retire(keys, run, changes.stored)
            return
        spills = changes.stored.windows
        grown: dict[str, Mapping[Any, Any]] = {
            keys.spills(run): {s: layout.pack_ledger_entry(e) for s, e in changes.ledger.items()},
            keys.key_numbers(run): {s: layout.seal(n) for s, n in changes.key_numbers.items()},
            keys.channel_counts(run): {s: layout.seal(c) for s, c in changes.channel_counts.items()},
            keys.book(run): _packed(changes.plots),
            **{keys.window(run, window): _packed(plots) for window, plots in changes.windows.items()},
            keys.windows(run): {layout.pack_window(w): layout.seal(b"%d" % spills[w]) for w in changes.windows},
        }
        changes.stored.with_channels += len(changes.channel_counts)
        stamps = changes.stored.stamps
        for key, values in grown.items():
            if values:
                self._grow(key, stamps.get(key, ""), values)
                stamps[key], self.owners[key] = self._fence, run
        if changes.expired:
            self._add(keys.windows(run), "hdel", [layout.pack_window(window) for window in changes.expired])
        for key in (keys.window(run, window) for window in changes.expired):
            self._add(key, "del", [])
            stamps.pop(key, None)
        if changes.handling:
            handling = {s: layout.pack_handling(h) for s, h in changes.handling.items()}
            self._add(keys.handling(run), "set", [_ANY, *_flat(handling)])
        self._add(keys.run(run), "new", _flat(pack_part(changes.stored)))

    def _retire(self, keys: Keys, run: int, stored: StoredPart) -> None:
        """Leave nothing of a part but its totals."""
        for key in (*stored.stamps, keys.handling(run)):
            self._add(key, "del", [])
        stored.stamps = {}
        self._add(keys.run(run), "new", _flat(pack_part(stored)))

    def _grow(self, key: str, stamp: str, values: Mapping[Any, Any]) -> None:
        """Add fields to a hash that has a stamp; without one, it is made anew."""
        fields = [layout.STAMP, self._fence, *_flat(values)]
        self._add(key, *(("set", [stamp, *fields]) if stamp else ("new", fields)))

    def _add(self, key: str, name: str, values: Sequence[Any]) -> None:
        self.keys.append(key)
        self.arguments.extend([name, len(values), *values])


def _flat(values: Mapping[Any, Any]) -> list[Any]:
    return [part for pair in values.items() for part in pair]


def _packed(plots: Mapping[str, Cells]) -> dict[str, bytes]:
    return {name: layout.seal(cells.pack()) for name, cells in plots.items()}
