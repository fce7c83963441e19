"""What an earlier version left is carried over: every bin and every counter."""

import pytest

pytest.register_assert_rewrite("tests.upgrade.left")
