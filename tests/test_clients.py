"""Every client of Kafka and of Redis is made in one place, so that none passes over the settings of security."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT

KAFKA, REDIS = "streams/kafka/clients.py", "streams/books/connect.py"
MADE_IN = {
    "AIOKafkaConsumer": KAFKA,
    "AIOKafkaProducer": KAFKA,
    "AdminClient": KAFKA,
    "Consumer": KAFKA,
    "Producer": KAFKA,
    "Redis": REDIS,
    "AsyncRedis": REDIS,
    "StrictRedis": REDIS,
    "from_url": REDIS,
}


def made(file: Path) -> Iterator[str]:
    """Yield what a file calls that makes a client, and the setting by which one is made elsewhere."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in MADE_IN:
                yield called
        if isinstance(node, ast.Constant) and node.value == "bootstrap.servers":
            yield "AdminClient"


@pytest.mark.parametrize("package", ["schemas", "streams", "dashboards", "ops"])
def test_nobody_makes_a_client_elsewhere(package: str) -> None:
    found = {
        (called, str(file.relative_to(PROJECT)))
        for file in (PROJECT / package).rglob("*.py")
        for called in made(file)
        if MADE_IN[called] != str(file.relative_to(PROJECT))
    }
    assert found == set()


def test_where_they_are_made_is_found() -> None:
    assert {"AIOKafkaConsumer", "AdminClient", "Producer"} <= set(made(PROJECT / KAFKA))
    assert "from_url" in set(made(PROJECT / REDIS))
