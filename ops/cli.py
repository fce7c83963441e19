"""The command spilldeck: what each subcommand is, and how errors end it."""

import os
import signal
import sys
import threading
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ops.commands import (
    alarms,
    audit,
    books,
    checklist,
    checks,
    conditions,
    config,
    demo,
    doctor,
    export,
    flags,
    good_spills,
    handover,
    issues,
    local,
    new,
    note,
    process,
    produce,
    references,
    rejected,
    release,
    replay,
    runs,
    selftest,
    simulate,
    spills,
    tokens,
    topics,
    upgrade,
    users,
    worker,
)
from ops.console import complain
from streams import __version__
from streams.errors import SpilldeckError, UsageError

INTERRUPTED = 130
"""What a shell expects of a command that Ctrl-C ended."""
AGAIN_S = 0.05
"""What Python called by itself has come to its end within it."""


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"spilldeck {__version__}{_of_checkout()}")
        raise typer.Exit


def _of_checkout() -> str:
    """Return which commit runs where a checkout does; a release has it in its version."""
    checkout = Path(__file__).resolve().parent.parent
    if not (checkout / "pyproject.toml").is_file():
        return ""
    from ops.releases.install import COMMIT_DIGITS, commit_of  # noqa: PLC0415 - half a second, and a release has none

    commit, is_changed = commit_of(checkout)
    of = f" at g{commit[:COMMIT_DIGITS]}{', changed' if is_changed else ''}" if commit else ""
    return f", a checkout{of}"


app = typer.Typer(
    name="spilldeck",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    help="Online data quality for experiments whose beam comes in spills.",
    epilog="Exit status: 0 done, 1 the answer is no, 2 wrong use, 3 a server cannot be reached.",
)


@app.callback()
def _app(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    # By itself the library writes to standard output, where a program reads what was asked for.
    from streams.log import log_to_stderr  # noqa: PLC0415 - takes as long as all else here, and completion needs none

    log_to_stderr()


app.command()(demo.demo)
app.command()(local.up)
app.command()(local.down)
app.command()(local.status)
app.command()(doctor.doctor)
app.command()(selftest.selftest)
app.command()(books.books)
app.command()(process.process)
app.command()(produce.produce)
app.command()(simulate.simulate)
app.command()(new.new)
app.command()(replay.replay)
app.command()(replay.verify)
app.command()(export.export)
app.command()(good_spills.good_spills)
app.command()(handover.handover)
app.command()(note.note)
app.command()(checklist.checklist)
app.command()(worker.worker)
app.command()(worker.dashboard)
app.command()(worker.keeper)
app.command()(upgrade.upgrade)
app.add_typer(topics.app, name="topics")
app.add_typer(spills.app, name="spills")
app.add_typer(rejected.app, name="rejected")
app.add_typer(runs.app, name="runs")
app.add_typer(replay.app, name="replays")
app.add_typer(checks.app, name="checks")
app.add_typer(references.app, name="references")
app.add_typer(conditions.app, name="conditions")
app.add_typer(flags.app, name="flags")
app.add_typer(alarms.app, name="alarms")
app.add_typer(issues.app, name="known-issues")
app.add_typer(audit.app, name="audit")
app.add_typer(users.app, name="users")
app.add_typer(tokens.app, name="tokens")
app.add_typer(release.app, name="release")
app.add_typer(config.app, name="config")


def main() -> None:
    """Run the command; end with its status, and with one sentence in place of a traceback."""
    # What Ctrl-C cleans up, `kill` does too; also where a shell started us in the background, deaf to Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _tell_again
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # whatever the locale says: units and names are not all ASCII
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        status = app(standalone_mode=False)
        sys.stdout.flush()
    except SpilldeckError as error:
        complain(error)
        status = error.exit_status
    except typer.TyperException as error:
        # Wrong use of the command line: the library says it in its own words.
        error.show()  # type: ignore[attr-defined]  # all that it raises have it
        status = UsageError.exit_status
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except BrokenPipeError:
        # Who read our output has gone; nothing is wrong.
        _write_no_more()
        status = 0
    except OSError as error:
        # Files are named where they are read and written: this is where the output goes, as a full disk.
        _write_no_more()
        complain(f"{error.filename or 'the output cannot be written'}: {error.strerror or error}")
        status = SpilldeckError.exit_status
    if status == INTERRUPTED:
        _end_interrupted()
    sys.exit(status)


def _tell_again(lost: "sys.UnraisableHookArgs") -> None:
    """Have what told us to end do so again where nothing heard of it: in what Python calls by itself, as __del__."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        again = threading.Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(lost)


def _end_interrupted() -> NoReturn:
    """End at once: Python would by the signal itself where it came within exec() of a text, as dataclasses are made."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(INTERRUPTED)


def _write_no_more() -> None:
    """Have what is left of the output go nowhere, or the interpreter would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
