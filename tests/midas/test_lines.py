"""A spill of MIDAS is shown bank by bank."""

from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import RawFormat
from streams.books.spill_words import bytes_words
from streams.daq.midas_file import MidasSpills, midas_file
from streams.experiment import Format, experiment
from streams.midas.lines import lines
from streams.unpacked import Hits
from tests import midas_builder as midas
from tests.edits import EDITS, edited
from tests.records import raw_spill


def test_each_event_and_bank_is_shown_with_its_place_and_values():
    content = midas.message("HV is up") + midas.spill(3, triggers=2, order="little")
    shown = {line.byte: line.what for line in lines(content)}
    assert shown[0] == "event 0x8002 of 25 bytes, serial number 0, 2023-11-14 22:13:20 UTC"
    assert shown[16] == "HV is up"
    assert shown[25] == "event 0x8 of 44 bytes, serial number 3, 2023-11-14 22:13:32 UTC"
    texts = list(dict.fromkeys(line.what for line in lines(content)))
    assert "bank TDC0: 2 of uint32" in texts
    assert "103 103" in texts
    assert "bank ADC0: 5 of uint16" in texts


def test_damage_hides_nothing_that_is_whole():
    bad = midas.event(1, midas.bank_area([("ABCD", 99, bytes(8))]))
    texts = [line.what for line in lines(bad + b"\xaa" * 30 + midas.scalers(5))]
    assert texts[1] == "unknown: bank ABCD of type 99, which does not exist"
    assert texts[2].startswith("unknown, 30 bytes: event id 0xaaaa")
    assert texts[-1] == "5 5 5"


@settings(max_examples=100, deadline=None)
@given(edits=EDITS, order=st.sampled_from(sorted(midas.ORDERS)))
def test_whatever_the_bytes_they_are_shown(edits, order):
    content = edited(midas.spill(1, order=order), edits)
    assert all(0 <= line.byte <= len(content) for line in lines(content))


def test_the_command_shows_them():
    form = Format(raw=RawFormat.MIDAS, source=midas_file(MidasSpills(begin=8, end=9)), unpack=Hits, show=lines)
    with patch.dict(vars(experiment()), {"formats": (form,)}):
        raw = raw_spill(format=RawFormat.MIDAS, payload=midas.scalers(5), source="run00407.mid", byte=640)
        shown = list(bytes_words(raw))
    assert shown[0] == "from byte 640 of run00407.mid on"
    assert shown[-1].split() == ["36", "5", "5", "5"]
