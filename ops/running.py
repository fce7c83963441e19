"""The workers that run, as Kafka knows them."""

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.kafka import no_kafka
from streams.settings import Settings
from streams.topics import workers_group

ASK_S = 5.0
"""A broker that does not answer within it is taken to be down."""


def running_workers(settings: Settings, client: AdminClient) -> dict[str, list[str]]:
    """Return the host of each worker, by the groups that have some; one that was killed stays for its session time-out.

    Raises
    ------
    ServerError
        When no broker answers.
    """
    any_session = workers_group(settings, "")
    try:
        there = client.list_consumer_groups(request_timeout=ASK_S).result().valid
        groups = [group.group_id for group in there if group.group_id.startswith(any_session)]
        asked = client.describe_consumer_groups(groups, request_timeout=ASK_S) if groups else {}
        members = {group: future.result().members for group, future in asked.items()}
    except KafkaException as error:
        raise no_kafka(settings, error) from error
    return {group: [member.host.removeprefix("/") for member in those] for group, those in members.items() if those}
