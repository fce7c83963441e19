"""What changes something: one way for all of it, from the request to Kafka.

A request is a POST with the header `Act-Id`, which no foreign page can send; sent again with the same id it is one
action. Who asks must have the role. It is answered when Kafka has the action and it counts; what is refused is answered
with a sentence, and logged.
"""

import base64
import binascii
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, ValidationError
from redis import Redis
from redis.exceptions import RedisError

from dashboards import run_acts
from dashboards.access.identity import NOBODY, Access, Person, RefusedError, Way
from dashboards.access.roles import Role
from dashboards.access.sessions import COOKIE
from dashboards.addresses import at, within
from dashboards.choices import Choices
from dashboards.data import Data
from dashboards.log_ins import LogIn, LogIns
from dashboards.logbook import Logbook
from dashboards.pages.checklist import lines
from dashboards.refusals import Said, refused, sentence
from dashboards.run_acts import OfReplay, OfRun, OfType, ToPin
from dashboards.threads import Threads, peer_of
from schemas.records import Action, ActionKind
from schemas.wire import MAX_TIME_US
from streams.books.alarm_actions import acknowledge_action, shelve_action
from streams.books.alarms import LONGEST_SHELF_S
from streams.books.checklists import LONGEST_LINE, LONGEST_REMARK, MOST_LINES, Answer, Line, find
from streams.books.connect import connect, no_redis
from streams.books.decided import decide, newest
from streams.books.decisions import Decisions
from streams.books.duties import Duty
from streams.books.flagging import flag_action, remark_action
from streams.books.flags import ALL, END, NewFlag, Verdict, is_action_id
from streams.books.issues import LONGEST_NAME, LONGEST_TEXT, NewIssue
from streams.books.notes import LONGEST_NOTE, Note
from streams.books.noting import (
    add_action,
    checklist_action,
    extend_action,
    note_action,
    tell_note_action,
    withdraw_action,
)
from streams.errors import ServerError, SpilldeckError, UsageError
from streams.settings import Settings

ACT_ID = "Act-Id"

_log = structlog.get_logger(__name__)


MOST_PICTURE = 900_000
"""Characters of a picture: with all else it is no more than a request may have."""
_PNG = b"\x89PNG\r\n\x1a\n"
_Run = Annotated[int, Field(ge=0, le=END)]
_Reason = Annotated[str, Field(max_length=1000)]


class _Flag(Said):
    run: _Run
    verdict: Annotated[Verdict, Field(strict=False)]
    detector: Annotated[str, Field(max_length=100)] = ALL
    first: int = 0
    last: int = END
    reason: _Reason = ""


class _Remark(Said):
    run: _Run
    flag: Annotated[str, Field(max_length=64)]
    reason: _Reason = ""


class _Acknowledge(Said):
    alarm: Annotated[str, Field(max_length=64)]


class _Shelve(Said):
    alarm: Annotated[str, Field(max_length=64)]
    hours: Annotated[float, Field(gt=0, le=LONGEST_SHELF_S / 3600)]
    reason: _Reason


_Time = Annotated[int, Field(ge=0, le=MAX_TIME_US)]


class _Issue(Said):
    of: Annotated[str, Field(max_length=2 * LONGEST_NAME)]
    text: Annotated[str, Field(max_length=LONGEST_TEXT)]
    owner: Annotated[str, Field(max_length=LONGEST_NAME)]
    first: _Run = 0
    last: _Run = END
    until_us: _Time | None = None


class _Note(Said):
    run: _Run
    text: Annotated[str, Field(max_length=LONGEST_NOTE)]
    plot: Annotated[str, Field(max_length=100)] = ""
    path: Annotated[str, Field(max_length=2000, pattern=r"^(/\S*)?$")] = ""
    """Of the page that somebody looked at, with what was chosen."""
    picture: Annotated[str, Field(max_length=MOST_PICTURE)] = ""
    """PNG, as base64; for the logbook alone."""


_Answer = Annotated[Answer, Field(strict=False)]


class _Line(Said):
    name: Annotated[str, Field(max_length=LONGEST_LINE)]
    seen: _Answer
    """What the checks said when the person saw it last."""
    person: _Answer | None = None
    remark: Annotated[str, Field(max_length=LONGEST_REMARK)] = ""


class _Checklist(Said):
    run: _Run
    due_us: _Time
    end: bool
    who: Annotated[str, Field(max_length=200)]
    """In whose name the page has it sent."""
    lines: Annotated[list[_Line], Field(max_length=MOST_LINES)]


class _Extended(Said):
    issue: Annotated[str, Field(max_length=64)]
    last: _Run = END
    until_us: _Time | None = None


class _Withdrawn(Said):
    issue: Annotated[str, Field(max_length=64)]
    reason: _Reason = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request, as far as it matters."""

    request: Request
    id: str
    person: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class _Act:
    """What may be asked at an address."""

    says: type[BaseModel]
    do: Callable[[_Asked, Any], Response]
    needs: Role


class Acts:
    """Does what people ask.

    Parameters
    ----------
    data
        Knows which runs there are.
    """

    def __init__(self, settings: Settings, data: Data) -> None:
        self._settings, self._data = settings, data
        self._access = Access(settings.access)
        self._logbook = Logbook(settings, lambda: data.notes, self._note_logged)
        self._log_ins = log_ins = LogIns(self._access)
        # Apart from those of the page: who waits for Kafka here lets nobody wait there.
        self._threads = Threads()
        self._one_at_a_time = threading.Lock()
        self._acts = {
            "/log-in": _Act(says=LogIn, do=lambda asked, said: log_ins.log_in(asked.request, said), needs=Role.VIEWER),
            "/log-out": _Act(says=Said, do=lambda asked, _: log_ins.log_out(asked.request), needs=Role.VIEWER),
            "/act/flag": _Act(says=_Flag, do=self._flag, needs=Role.SHIFTER),
            "/act/withdraw-flag": _Act(
                says=_Remark, do=partial(self._remark, ActionKind.WITHDRAW_FLAG), needs=Role.SHIFTER
            ),
            "/act/acknowledge-alarm": _Act(says=_Acknowledge, do=self._acknowledge, needs=Role.SHIFTER),
            "/act/shelve-alarm": _Act(says=_Shelve, do=self._shelve, needs=Role.SHIFTER),
            "/act/end-run": _Act(says=OfRun, do=partial(self._by, run_acts.end), needs=Role.SHIFTER),
            "/act/pin-reference": _Act(says=ToPin, do=partial(self._by, run_acts.pin), needs=Role.EXPERT),
            "/act/unpin-reference": _Act(says=OfType, do=partial(self._by, run_acts.unpin), needs=Role.EXPERT),
            "/act/promote-replay": _Act(says=OfReplay, do=partial(self._by, run_acts.promote), needs=Role.EXPERT),
            "/act/restore-run": _Act(says=OfRun, do=partial(self._by, run_acts.restore), needs=Role.EXPERT),
            "/act/drop-replay": _Act(says=OfReplay, do=partial(self._by, run_acts.drop), needs=Role.EXPERT),
            "/act/add-issue": _Act(says=_Issue, do=self._add_issue, needs=Role.EXPERT),
            "/act/note": _Act(says=_Note, do=self._note, needs=Role.SHIFTER),
            "/act/checklist": _Act(says=_Checklist, do=self._checklist, needs=Role.SHIFTER),
            "/act/extend-issue": _Act(says=_Extended, do=self._extend_issue, needs=Role.EXPERT),
            "/act/withdraw-issue": _Act(says=_Withdrawn, do=self._withdraw_issue, needs=Role.EXPERT),
            "/act/verify-flag": _Act(
                says=_Remark, do=partial(self._remark, ActionKind.VERIFY_FLAG), needs=Role.SHIFTER
            ),
        }

    def add_to(self, server: FastAPI) -> None:
        """Have a server answer at all addresses of this kind, and say who asks."""
        for path, act in self._acts.items():
            server.add_route(path, partial(self._answer, act), methods=["POST"])
        server.add_route("/who", partial(self._in_thread, self._say_who))
        server.add_route("/logged", self._say_logged)
        for path, lead in self._log_ins.by_provider().items():
            server.add_route(path, partial(self._in_thread, lead))

    async def _answer(self, act: _Act, request: Request) -> Response:
        body = await request.body()
        return await self._threads.run(peer_of(request), partial(self._do, act, request, body))

    def _do(self, act: _Act, request: Request, body: bytes) -> Response:
        name = ""
        try:
            act_id = _id_of(request)
            person = self._person(act, request)
            name = person.name
            self._check_role(act, person)
            return act.do(
                _Asked(request=request, id=act_id, person=person), act.says.model_validate_json(body or b"{}")
            )
        except RefusedError as error:
            return refused(request, name, error)
        except ValidationError as error:
            # Not what was said: it may be a password.
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            return refused(request, name, RefusedError(400, f"This is nothing that the page asks: {wrong}."))
        except UsageError as error:
            return refused(request, name, RefusedError(409, sentence(error)))
        except ServerError as error:
            said = f"{sentence(error)} Ask again: the same is noted once."
            return refused(request, name, RefusedError(503, said))
        except SpilldeckError as error:
            _log.error("nobody can say who is who", error=str(error))
            return refused(request, name, RefusedError(503, "Nobody can say who is who: the server’s log says why."))

    def _person(self, act: _Act, request: Request) -> Person:
        try:
            return self._access.person(request)
        except RefusedError as error:
            # Whoever logs in or out need not be known.
            if act.needs is Role.VIEWER and error.status == HTTPStatus.UNAUTHORIZED:
                return NOBODY
            raise

    def _check_role(self, act: _Act, person: Person) -> None:
        if person.role.may(act.needs):
            return
        if person.way is not Way.NOBODY:
            raise RefusedError(403, f"{person.name} is {person.role}: this needs {act.needs}.")
        raise RefusedError(401, f"This needs {act.needs}: log in." if self._access.is_configured() else _CLOSED)

    async def _in_thread(self, make: Callable[[Request], Response], request: Request) -> Response:
        return await self._threads.run(peer_of(request), partial(make, request))

    def _say_who(self, request: Request) -> Response:
        """Return who asks, and what the page says of it."""
        is_over = False
        try:
            person, configured = self._access.person(request), self._access.is_configured()
        except RefusedError as error:
            if error.status != HTTPStatus.UNAUTHORIZED:
                return refused(request, "", error)
            person, configured, is_over = NOBODY, self._access.is_configured(), True
        except SpilldeckError as error:
            _log.error("nobody can say who is who", error=str(error))
            return Response("Nobody can say who is who: the server’s log says why.", 503, media_type="text/plain")
        may = [role.value for role in person.role.included]
        said = {"name": person.name, "role": person.role.value, "may": may, "way": person.way.value}
        more = {"configured": configured, "logbook": self._logbook.is_there}
        answer = JSONResponse(said | {"line": _line(person, is_configured=configured)} | more)
        if is_over:
            answer.delete_cookie(self._access.sessions.called(COOKIE), path=at("/"))
        return answer

    def _flag(self, asked: _Asked, said: _Flag) -> Response:
        new = NewFlag(asked.id, said.verdict, said.reason, said.detector, said.first, said.last)
        if not self._data.has_run(said.run):
            raise RefusedError(409, f"There is no run {said.run} here.")
        return self._decide(
            asked, lambda known, **by: flag_action(known.flags.get(said.run, ()), said.run, new=new, **by)
        )

    def _remark(self, kind: ActionKind, asked: _Asked, said: _Remark) -> Response:
        ids = asked.id, said.flag

        def new(known: Decisions, **by: str) -> Action:
            there = known.flags.get(said.run, ())
            return remark_action(there, said.run, kind=kind, ids=ids, reason=said.reason, **by)

        return self._decide(asked, new)

    def _acknowledge(self, asked: _Asked, said: _Acknowledge) -> Response:
        return self._decide(
            asked, lambda known, **by: acknowledge_action(known.alarms, said.alarm, act_id=asked.id, **by)
        )

    def _shelve(self, asked: _Asked, said: _Shelve) -> Response:
        for_s = round(3600 * said.hours)

        def new(known: Decisions, **by: str) -> Action:
            return shelve_action(known.alarms, said.alarm, act_id=asked.id, for_s=for_s, reason=said.reason, **by)

        return self._decide(asked, new)

    def _add_issue(self, asked: _Asked, said: _Issue) -> Response:
        new = NewIssue(asked.id, said.of, said.text, said.owner, said.first, said.last, said.until_us)
        return self._decide(asked, lambda _, **by: add_action(new, **by))

    def _note(self, asked: _Asked, said: _Note) -> Response:
        if not self._data.has_run(said.run):
            raise RefusedError(409, f"There is no run {said.run} here.")
        _check_picture(said.picture)
        path, to_log = within(said.path) if said.path else "", self._logbook.is_there

        def new(_: Decisions, **by: str) -> Action:
            return note_action(said.run, said.text, said.plot, act_id=asked.id, path=path, to_log=to_log, **by)

        answer = self._decide(asked, new)
        # It is in the record now, whatever becomes of it elsewhere.
        its = Note(asked.id, said.run, said.text, said.plot, asked.person.name, time.time_ns() // 1000, path, to_log)
        self._logbook.tell(its, said.picture)
        return answer

    def _note_logged(self, note: Note) -> None:
        """Write that the logbook has a note."""
        with connect(self._settings) as redis:
            decide(self._settings, redis, tell_note_action(note))

    async def _say_logged(self, request: Request) -> Response:
        """Return whether the logbook has an entry."""
        its = self._logbook.state(request.query_params.get("id", ""))
        if its is None and not self._data.has_decisions:
            return Response("What was noted is being read.", 503, media_type="text/plain")
        if its is None:
            return Response("Nobody knows here whether the logbook has it.", 404, media_type="text/plain")
        return JSONResponse(its)

    def _checklist(self, asked: _Asked, said: _Checklist) -> Response:
        name = asked.person.name
        if said.who != name:
            raise RefusedError(409, f"This is {name}, and {said.who} filled it in: look at it, and send it again.")
        duty = Duty(said.run, said.due_us, is_end=said.end)

        def new(known: Decisions, **by: str) -> Action:
            done = find(known.checklists, said.run, said.due_us, is_end=said.end)
            if done is not None and done.id != asked.id:
                raise UsageError(done.done)
            # What was sent already is asked for again: what the checks said then is not to be known any more.
            its, spill, sent = (duty, 0, _answered(said, {})) if done is not None else self._looked_at(duty, said)
            return checklist_action(its, spill, sent, act_id=asked.id, **by)

        return self._decide(asked, new)

    def _looked_at(self, duty: Duty, said: _Checklist) -> tuple[Duty, int, tuple[Line, ...]]:
        """Return what is due, after which spill, and its lines as the checks answer them now, and the person did."""
        view = self._data.view(Choices(run=said.run))
        if view.agenda is None or view.is_old:
            raise ServerError("the books cannot be read, so nobody knows what the checks say")
        its = next((each for each in view.agenda.due if each.is_same(duty)), None)
        if its is None:
            raise UsageError("this checklist is not due: look at what is")
        now = {each.name: each for each in lines(view, its, self._settings.checklist.lines)}
        seen = {each.name: each.seen for each in said.lines}
        if not seen.keys() <= now.keys():
            raise UsageError("the page asks for other lines by now: look at them, and send it again")
        if other := [each.asks for each in now.values() if seen.get(each.name) is not each.checks]:
            raise UsageError(f"meanwhile the checks say something else: {other[0]}. Look at it, and send it again")
        return its, view.book.totals.last_spill, _answered(said, now)

    def _extend_issue(self, asked: _Asked, said: _Extended) -> Response:
        def new(known: Decisions, **by: str) -> Action:
            there, last, until_us = known.issues, said.last, said.until_us
            return extend_action(there, said.issue, act_id=asked.id, last=last, until_us=until_us, **by)

        return self._decide(asked, new)

    def _withdraw_issue(self, asked: _Asked, said: _Withdrawn) -> Response:
        def new(known: Decisions, **by: str) -> Action:
            return withdraw_action(known.issues, said.issue, act_id=asked.id, reason=said.reason, **by)

        return self._decide(asked, new)

    def _decide(self, asked: _Asked, new: Callable[..., Action]) -> Response:
        def do(settings: Settings, redis: Redis, _: BaseModel, **by: str) -> None:
            known = newest(settings, redis)()
            action = new(known, **by)
            if not known.has_said(action):
                decide(settings, redis, action)

        return self._by(do, asked, Said())

    def _by(self, do: Callable[..., None], asked: _Asked, said: BaseModel) -> Response:
        """Do something in the name of who asks, one after the other."""
        origin = "a program" if asked.person.way is Way.TOKEN else "the page"
        try:
            with self._one_at_a_time, connect(self._settings) as redis:
                do(self._settings, redis, said, origin=origin, who=asked.person.name)
        except RedisError as error:
            raise no_redis(self._settings, error) from error
        return JSONResponse({"id": asked.id})


def _answered(said: _Checklist, now: Mapping[str, Line]) -> tuple[Line, ...]:
    """Return the lines that were sent, as the checks answer them now."""
    found = ((each, now.get(each.name, Line(each.name, each.name, each.seen, ""))) for each in said.lines)
    return tuple(line._replace(person=each.person, remark=each.remark.strip()) for each, line in found)


_CLOSED = "No users are configured, so this can be done on the machine of the page alone: spilldeck users add."


def _check_picture(picture: str) -> None:
    try:
        found = base64.b64decode(picture, validate=True)
    except binascii.Error:
        found = b"?"
    if found and not found.startswith(_PNG):
        raise RefusedError(400, "This is nothing that the page asks: the picture is no PNG.")


def _id_of(request: Request) -> str:
    found = request.headers.get(ACT_ID, "")
    if not is_action_id(found):
        raise RefusedError(403, f"The page did not ask for this: {ACT_ID} is missing.")
    return found


def _line(person: Person, *, is_configured: bool) -> str:
    """Return what stands where one acts; empty if nothing is to be said."""
    if person.way is Way.MACHINE:
        return "No users are configured: whoever is on this machine may act."
    if person.way is Way.NOBODY:
        return "Log in to act." if is_configured else _CLOSED
    return "" if person.role.may(Role.SHIFTER) else f"{person.name} may look, and not act."
