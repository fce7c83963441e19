"""What can be wrong with a site: what people see of it, why, and what to do, in the order of causes.

The one place for the advice: `doctor` gives it, and docs/troubleshooting.md is made of it.
"""

from typing import NamedTuple


class Trouble(NamedTuple):
    """One thing that can be wrong."""

    id: str
    symptom: str
    """What a person sees."""
    cause: str
    advice: str
    """What to do, with places in braces for what a finding knows more exactly."""


TROUBLES = (
    Trouble(
        "settings.wrong",
        "Each command ends with status 2",
        "A setting is unknown, or has a value that cannot be",
        "correct it in spilldeck.toml or the environment; see spilldeck config show",
    ),
    Trouble(
        "settings.directory",
        "An archive, a journal, a log-in cannot be written",
        "A directory of the settings is none that can be written to",
        "make {path} writable for this user, or choose another in {setting}",
    ),
    Trouble(
        "settings.file",
        "The page has a banner that limits are wrong; `checks show` or `good-spills` ends with status 2",
        "A file that an expert edits, `checks.limits` or `checks.good_spills`, cannot be read",
        "correct {setting} where it says",
    ),
    Trouble(
        "settings.secret",
        "Nobody can log in, or webhooks are not signed; or a password is known",
        "Others of this machine may read a file with secrets",
        "chmod 600 {path}, and change what is secret in it",
    ),
    Trouble(
        "kafka.away",
        "The page says that nobody knows whether spills come; producers wait",
        "No Kafka answers at `kafka.bootstrap_servers`",
        "start it (spilldeck up) or look at its log; else correct kafka.bootstrap_servers",
    ),
    Trouble(
        "kafka.refuses",
        "Each command says that Kafka refuses, and why",
        "A certificate, a user, a password or the protocol is another than Kafka wants",
        "correct what it says under [kafka]; docs/operations.md, Secured servers",
    ),
    Trouble(
        "sentinels.away",
        "If the master of Redis fails, none or too few are there to have another take its place",
        "Sentinels of `redis.sentinels` do not answer",
        "start those that are away, look at their logs; else correct redis.sentinels",
    ),
    Trouble(
        "sentinels.master",
        "The page says that all numbers are old; workers wait",
        "No sentinel knows a master of this name that is up",
        "wait some seconds, if one has just failed; look at the sentinels' logs; else correct the name in redis.url",
    ),
    Trouble(
        "sentinels.differ",
        "Some commands see other numbers than others",
        "Sentinels name different servers as the master",
        "wait some seconds; look whether all sentinels reach each other, and at SENTINEL MASTERS of each",
    ),
    Trouble(
        "sentinels.quorum",
        "If the master of Redis fails, spills wait until somebody comes",
        "Too few sentinels see each other to have another take the master's place",
        "start those that are away; look at SENTINEL CKQUORUM of each",
    ),
    Trouble(
        "redis.away",
        "The page says that all numbers are old; workers wait",
        "No Redis answers at `redis.url`",
        "start it (spilldeck up) or look at its log; else correct redis.url",
    ),
    Trouble(
        "redis.refuses",
        "Each command says that Redis refuses, and why",
        "A certificate, a user, a password or a right is another than Redis wants",
        "correct what it says under [redis]; docs/operations.md, Secured servers",
    ),
    Trouble(
        "clock.kafka",
        "Times of spills are not ours; alarms come late or at once",
        "The clocks of this machine and of Kafka's differ",
        "have both machines keep time by NTP: look at timedatectl on each",
    ),
    Trouble(
        "clock.redis",
        "Watchers of alarms seem silent",
        "The clocks of this machine and of Redis's differ",
        "have both machines keep time by NTP: look at timedatectl on each",
    ),
    Trouble(
        "topics.lacking",
        "The page says that Kafka has no such topic; nothing can be produced",
        "Topics are not there",
        "run spilldeck topics apply",
    ),
    Trouble(
        "topics.leader",
        "Producers and workers wait, though Kafka answers",
        "The brokers that have a partition are away",
        "start the brokers that are away; look at their logs",
    ),
    Trouble(
        "topics.retention",
        "Runs are gone from Kafka sooner, or kept longer, than the settings say",
        "A topic has another retention or clean-up policy than the settings",
        "look at spilldeck topics plan, then topics apply, or set kafka.retention_days",
    ),
    Trouble(
        "topics.replication",
        "What one disk loses is lost",
        "A topic has another number of copies than the settings, or a copy is behind",
        "start brokers that are away; else have whoever keeps Kafka change its copies",
    ),
    Trouble(
        "topics.differ",
        "Workers do not start, or a large spill is rejected",
        "A topic has other partitions or settings than the settings say",
        "look at spilldeck topics diff, then run spilldeck topics apply",
    ),
    Trouble(
        "redis.evicts",
        "Plots lose entries, and workers do not start",
        "Redis throws keys away when its memory is full",
        "set maxmemory-policy noeviction in Redis",
    ),
    Trouble(
        "redis.full",
        "No spill counts any more",
        "The memory of Redis is nearly full",
        "raise maxmemory of Redis",
    ),
    Trouble(
        "redis.forgets",
        "After a restart of Redis all runs are made again from Kafka",
        "Redis writes nothing to disk",
        "set appendonly yes in Redis",
    ),
    Trouble(
        "redis.splits",
        "After a cut of the network, spills of some seconds are counted again",
        "A master that is cut off from its replicas goes on taking what is lost when another has its place",
        "set min-replicas-to-write 1 and min-replicas-max-lag 10 on all servers of this Redis",
    ),
    Trouble(
        "redis.pauses",
        "When another server becomes the master, nothing counts for some seconds more",
        "A new master keeps its replicas waiting, and takes nothing until they follow it",
        "set repl-diskless-sync-delay 0 on all servers of this Redis",
    ),
    Trouble(
        "redis.replicas",
        "If the master of Redis fails, nothing takes its place, or older books do",
        "No replica follows the master, or none keeps up",
        "start the replica, look at its log and at INFO replication of the master",
    ),
    Trouble(
        "space.redis",
        "In some days no spill will count any more",
        "The memory of Redis fills",
        "raise maxmemory of Redis, drop replays (spilldeck replays list), or set keeper.runs_kept",
    ),
    Trouble(
        "space.disk",
        "Kafka, Redis or the keeper will stop writing",
        "A disk is full, or will be within days",
        "make room on the disk of {path}, or choose another in {setting}",
    ),
    Trouble(
        "conditions.unreadable",
        "Each spill of a run has errors of its detectors",
        "A table or an index of the conditions cannot be read",
        "correct it; spilldeck conditions check names all that is odd",
    ),
    Trouble(
        "conditions.lacking",
        "A run says that it has no calibration",
        "No table serves the run, or one of a kind that a detector needs is not there",
        "add it to the index of its tables; see spilldeck conditions show {run}",
    ),
    Trouble(
        "workers.none",
        "Spills come, and the plots stand",
        "No worker runs",
        "start some: spilldeck worker, as many as you like, on any machines",
    ),
    Trouble(
        "workers.idle",
        "More workers than before, and nothing goes faster",
        "There are more workers than partitions: some have nothing to do",
        "end some; or add partitions: set kafka.partitions, spilldeck topics apply",
    ),
    Trouble(
        "workers.differ",
        "The page says that spills were made with several versions or tables",
        "Workers have other versions, or other tables, than each other, or were moved to another release in the run",
        "if nobody moved them, start all of them anew from one release, with the same settings",
    ),
    Trouble(
        "books.wrong",
        "A run cannot be shown, or its plots do not add up",
        "What Redis holds of it is damaged",
        "leave a worker running, which makes it again; then spilldeck doctor --deep",
    ),
    Trouble(
        "books.lost",
        "Spills of a run are missing for good",
        "Kafka no longer had what was to be counted",
        "see spilldeck books; send those runs again from the DAQ's files (produce)",
    ),
    Trouble(
        "books.behind",
        "The plots are behind the beam",
        "Workers do not keep up, or hang",
        "look at the workers' logs; start them again, or more of them",
    ),
    Trouble(
        "spills.off",
        "No spill comes while a run is taken, or none counts",
        "DAQ, beam, a clock, or what the spills hold",
        "ask whether there is beam; then DAQ, spilldeck produce, rejected list",
    ),
    Trouble(
        "alarms.unwatched",
        "No alarm is raised, whatever is wrong",
        "Nobody watches",
        "start spilldeck alarms watch",
    ),
    Trouble(
        "keeper.away",
        "Runs that have ended have no archive, or no pictures",
        "No keeper is at work, or it cannot write",
        "start spilldeck keeper, on the machine of {path}; else look at its log",
    ),
    Trouble(
        "page.away",
        "A browser shows no page",
        "No page answers at its address, or something else does",
        "start spilldeck dashboard; else look at its log, dashboard.host and port",
    ),
    Trouble(
        "page.other",
        "The page shows another run or other counts than the commands",
        "The page hangs, or has other settings than these",
        "start spilldeck dashboard anew with these settings; look at its log",
    ),
    Trouble(
        "selftest.left",
        "Kafka lists topics of a self-test though none is at work",
        "A self-test was killed",
        "run spilldeck selftest, which removes what is left of earlier ones",
    ),
    Trouble(
        "doctor.failed",
        "One of doctor's lines says that it failed",
        "A fault of doctor's own, or something that nobody thought of",
        "tell whoever looks after Spilldeck, with these words; the rest holds",
    ),
    Trouble(
        "doctor.late",
        "One of doctor's lines says that it took too long",
        "A server or a disk is slow, or hangs",
        "ask again; look at the load of this machine and of the servers",
    ),
)
"""In the order of causes."""

BY_ID = {each.id: each for each in TROUBLES}
