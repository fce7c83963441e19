"""What the tests of the books share."""

import pytest

pytest.register_assert_rewrite("tests.books.one_partition")
