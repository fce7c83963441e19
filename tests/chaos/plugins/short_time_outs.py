"""A worker all of whose time-outs are so short that brokers can be away for longer than any of them."""

import os

import streams.app
from streams.agents import watch
from streams.kafka import probe
from tests.chaos.plugins import LONGEST_TIME_OUT_S

streams.app.REQUEST_S = 6.0  # no shorter than its session, which Kafka wants to be 6 s
probe.ANSWER_S = 2.0
watch.DEAF_S = LONGEST_TIME_OUT_S
os.environ["PRODUCER_REQUEST_TIMEOUT"] = "6"  # Faust's own setting: 20 minutes
