"""Messages as `schemas.wire` has them, with the tables of the experiment that the tests are run with."""

from functools import partial

from schemas import wire
from tests.catalogue import TABLES

encode = partial(wire.encode, tables=TABLES)
decode = partial(wire.decode, tables=TABLES)
serialize = partial(wire.serialize, tables=TABLES)
