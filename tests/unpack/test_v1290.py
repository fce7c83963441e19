import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import MISSING
from streams.errors import BadDataError
from streams.experiments.mice.unpack.date import unpack_date
from tests.date_builder import FILLER, equipment, physics, v1290_event

LEADING, TRAILING = False, True


def unpack(*boards):
    return unpack_date(physics(*(equipment(102, words, geo=1) for words in boards)))


def rows(tdc):
    columns = (tdc.geo, tdc.trigger, tdc.channel, tdc.leading_time, tdc.trailing_time)
    return [tuple(map(int, row)) for row in zip(*columns, strict=True)]


def refused(words, reason):
    with pytest.raises(BadDataError, match=reason) as error:
        unpack(words)
    assert error.value.step == "unpack"
    return (error.value.byte - (80 + 80 + 28)) // 4


def test_edges_are_zipped_by_their_order_within_trigger_and_channel():
    first = v1290_event(
        [
            (3, 10, LEADING),
            (3, 20, LEADING),
            (3, 15, TRAILING),
            (9, 7, TRAILING),
            (0, 1, LEADING),
            (31, 2097151, LEADING),
        ]
    )
    second = v1290_event([(3, 30, LEADING), (3, 31, TRAILING), (3, 40, TRAILING)], counter=1)
    hits = unpack(first + second)
    assert hits.triggers == 2
    assert rows(hits.tdc) == [
        (1, 0, 0, 1, MISSING),
        (1, 0, 3, 10, 15),
        (1, 0, 3, 20, MISSING),
        (1, 0, 9, MISSING, 7),
        (1, 0, 31, 2097151, MISSING),
        (1, 1, 3, 30, 31),
        (1, 1, 3, MISSING, 40),
    ]


def test_headers_and_tags_become_board_events():
    words = v1290_event([], counter=4_000_000, tag=0x7FFFFFF, bunch=4000) + v1290_event([], counter=4_000_001)
    boards = unpack(words).boards
    assert boards.event_counter.tolist() == [4_000_000, 4_000_001]
    assert boards.time_tag.tolist() == [0x7FFFFFF, 1000]
    assert boards.bunch_id.tolist() == [4000, 5]
    assert boards.ldc.tolist() == [1, 1]


def test_boards_keep_their_own_triggers_and_geo():
    hits = unpack(
        v1290_event([(0, 5, LEADING)], geo=1) + v1290_event([], geo=1),
        v1290_event([], geo=2) + v1290_event([(8, 6, LEADING)], geo=2),
    )
    assert rows(hits.tdc) == [(1, 0, 0, 5, MISSING), (2, 1, 8, 6, MISSING)]


def test_fillers_between_events_are_passed_over():
    words = [FILLER, *v1290_event([(0, 5, LEADING)]), FILLER, FILLER, *v1290_event([])]
    assert unpack(words).triggers == 2


def test_an_event_without_chip_data_has_no_bunch():
    words = [0x08 << 27 | 1, 0x11 << 27 | 9, 0x10 << 27 | 3 << 5 | 1]
    assert unpack(words).boards.bunch_id.tolist() == [MISSING]


def changed(at, word):
    words = v1290_event([(0, 5, LEADING)]) + v1290_event([(8, 6, LEADING)], counter=1)
    words[at] = word
    return words


def test_what_is_wrong_is_named_with_its_place():
    good = v1290_event([(0, 5, LEADING)])
    n = len(good)
    assert refused(changed(3, 0x04 << 27 | 2 << 24 | 0x11), "TDC error: chip 2, flags 0x0011") == 3
    assert refused(changed(3, 0x1F << 27), "unexpected word 0xf8000000") == 3
    assert refused(changed(n - 1, good[-1] + (1 << 5)), f"of {n} words, its trailer says {n + 1}") == n - 1
    assert refused(changed(n - 1, good[-1] | 2), "geo 1 in a header, 3 in its trailer") == 0
    assert refused(changed(n, good[0] + 1), "geo 2 in a header, 1 in its trailer, 1 in the first") == n
    assert refused(changed(n - 1, good[-1] | 1 << 24), "status 1") == n - 1
    assert refused(changed(n - 2, good[2]), "0 trigger time tags") == 0
    assert refused(changed(2, 9 << 21), "channel 9 outside the data of its chip") == 2
    assert refused(changed(2, FILLER), "where it must not stand") == 2
    assert refused(changed(0, good[1]), "where it must not stand") == 0
    assert refused(changed(n - 1, good[-2]), "where it must not stand") == n
    assert refused(good[:-1], "without its global trailer") == 0
    assert refused([*good, 5], "where it must not stand") == n
    assert refused([good[0], good[-2], good[-2], 0x10 << 27 | 4 << 5 | 1], "2 trigger time tags") == 0


def test_an_event_does_not_reach_into_the_next_board():
    words = v1290_event([])
    with pytest.raises(BadDataError, match="without its global trailer"):
        unpack(words[:5], words[5:])


EDGES = st.lists(st.tuples(st.integers(0, 31), st.integers(0, 2**21 - 1), st.booleans()), max_size=12)


def decoded(words):
    """Return (geo, trigger, channel, leading, trailing) of each pair, one word after the other."""
    out, event, geo = [], -1, 0
    edges = {}

    def end_event():
        for channel in sorted(edges):
            leading, trailing = edges[channel]
            for index in range(max(len(leading), len(trailing))):
                pair = (times[index] if index < len(times) else MISSING for times in (leading, trailing))
                out.append((geo, event, channel, *pair))

    for word in words:
        kind = word >> 27
        if kind == 0x08:
            event, geo, edges = event + 1, word & 0x1F, {}
        elif kind == 0x00:
            of_channel = edges.setdefault(word >> 21 & 0x1F, ([], []))
            of_channel[word >> 26 & 1].append(word & 0x1FFFFF)
        elif kind == 0x10:
            end_event()
    return out


@settings(max_examples=200, deadline=None)
@given(st.lists(EDGES, min_size=1, max_size=5), st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_edges_and_fillers_are_read_as_one_word_after_the_other_says(events, fillers):
    words = [FILLER] * fillers[0]
    for event, n_fillers in zip(events, fillers[1:], strict=False):
        words += v1290_event(event) + [FILLER + n for n in range(n_fillers)]
    hits = unpack(words)
    assert hits.triggers == len(events)
    assert rows(hits.tdc) == decoded(words)


@pytest.mark.parametrize("chip", range(4))
@pytest.mark.parametrize("flags", [0, 1, 0x7FFF])
def test_an_error_word_of_any_chip_and_flags_is_refused_wherever_it_stands(chip, flags):
    word = 0x04 << 27 | chip << 24 | flags
    good = v1290_event([(8 * chip, 5, LEADING)])
    for at in range(len(good) + 1):
        place = refused([*good[:at], word, *good[at:]], f"TDC error: chip {chip}, flags {flags:#06x}")
        assert place == at


def test_a_filler_is_refused_anywhere_inside_an_event():
    good = v1290_event([(0, 5, LEADING), (31, 6, TRAILING)])
    for at in range(1, len(good)):
        assert refused([*good[:at], FILLER, *good[at:]], "where it must not stand") == at


def test_fillers_alone_are_a_board_without_events():
    assert unpack([FILLER] * 3).triggers == 0


def test_words_of_every_unknown_kind_are_refused():
    for kind in set(range(32)) - {0x00, 0x01, 0x03, 0x04, 0x08, 0x10, 0x11, 0x18}:
        assert refused(changed(3, kind << 27 | 9), f"unexpected word .* \\(kind {kind:#04x}\\)") == 3
