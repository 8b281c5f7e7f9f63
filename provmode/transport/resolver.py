"""Names of PCs to addresses, for a whole fleet: names that nobody answers for cost a run one deadline in all.

The system's resolver blocks, so each look-up has a thread. If DNS is well, few threads do: an answer takes
milliseconds. A look-up that has waited for `PATIENCE` seconds makes room for another, up to `MOST` at a time.

If DNS is dead, every look-up ends at its deadline. Once `ENOUGH` have ended so, and no other has been answered since
they began, nobody answers: then all who ask or wait fail at once, and for `QUIET` seconds nobody is asked for. An
answer is an address, or the word that there is no such name.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey
from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

AddressInfo = tuple[Any, Any, int, str, Any]
"""Family, type, protocol, canonical name and address, as ``getaddrinfo`` returns them."""

AT_ONCE = 32
"""Look-ups that begin at a time."""
MOST = 128
"""Look-ups at a time, those that have waited long included: each has a thread."""
PATIENCE = 0.2
ENOUGH = 8
QUIET = 30.0


class NotAnswered(Exception):
    """Nobody answered for a name. The text says how that is known."""


class _Lookup:
    """One name that is being looked up."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.young = True
        self.result = AsyncResult()


class Resolver:
    """Looks names up, each in a thread. For the greenlets of one thread."""

    def __init__(self, *, at_once: int = AT_ONCE, most: int = MOST) -> None:
        self._at_once, self._most = at_once, most
        self._waiting: deque[AsyncResult] = deque()
        self._running: set[_Lookup] = set()
        self._places = 0
        self._young = 0
        self._threads: ThreadPool | None = None
        self._answered = float("-inf")
        self._unanswered = 0
        self._quiet_until = float("-inf")

    def addresses(
        self, name: bytes, port: int, deadline: float, *, seconds: Callable[[], float]
    ) -> tuple[float, list[AddressInfo]]:
        """Return when the look-up of *name* began, by the clock *seconds*, and its addresses.

        The *deadline*, in seconds, begins with the look-up: who waits for a place loses nothing by it.

        Raises:
            NotAnswered: nobody answered in time, or nobody answers for any name.
            socket.gaierror: the resolver says what is wrong.
        """
        if seconds() < self._quiet_until:
            raise self._silence()
        self._take_place()
        lookup = _Lookup(seconds())
        self._running.add(lookup)
        ageing = gevent.spawn_later(PATIENCE, self._age, lookup)
        try:
            self._start(lookup, name, port)
            lookup.result.wait(timeout=deadline)
        finally:
            ageing.kill(block=False)
            self._running.discard(lookup)
            self._age(lookup)
        if not lookup.result.ready():
            self._not_answered(lookup, seconds())
            raise NotAnswered(f"not within {deadline:g} s")
        found = lookup.result.value
        nobody = isinstance(found, socket.gaierror) and found.errno == socket.EAI_AGAIN
        if not nobody and not isinstance(found, NotAnswered):
            self._answered, self._unanswered = seconds(), 0
        if isinstance(found, Exception):
            raise found
        return lookup.began, found

    # -- places -----------------------------------------------------------------------------------------------

    def _take_place(self) -> None:
        if not self._waiting and self._young < self._at_once and self._places < self._most:
            self._young += 1
            self._places += 1
            return
        turn = AsyncResult()
        self._waiting.append(turn)
        try:
            turn.get()
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.successful():  # it was given a place, and will not use it
                self._young -= 1
                self._places -= 1
                self._hand_on()
            raise

    def _hand_on(self) -> None:
        while self._waiting and self._young < self._at_once and self._places < self._most:
            self._young += 1
            self._places += 1
            self._waiting.popleft().set(None)

    def _age(self, lookup: _Lookup) -> None:
        if lookup.young:
            lookup.young = False
            self._young -= 1
            self._hand_on()

    # -- threads ----------------------------------------------------------------------------------------------

    def _start(self, lookup: _Lookup, name: bytes, port: int) -> None:
        if self._threads is None or self._threads.hub is not gevent.get_hub():
            self._threads = ThreadPool(self._most)

        def ended(thread: AsyncResult) -> None:
            self._places -= 1
            if not lookup.result.ready():
                lookup.result.set(thread.value if thread.successful() else thread.exception)
            self._hand_on()

        try:
            thread = self._threads.spawn(_ask, name, port)
        except BaseException:
            self._places -= 1
            raise
        thread.rawlink(ended)

    # -- whether anybody answers ------------------------------------------------------------------------------

    def _not_answered(self, lookup: _Lookup, now: float) -> None:
        if self._answered >= lookup.began:
            return  # somebody answers: this name's own server does not
        self._unanswered += 1
        if self._unanswered < ENOUGH:
            return
        self._quiet_until = now + QUIET
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            turn.set_exception(self._silence())
        for other in self._running:
            if other is not lookup and not other.result.ready():
                other.result.set(self._silence())

    def _silence(self) -> NotAnswered:
        return NotAnswered(f"nor for {self._unanswered} other names")


def _ask(name: bytes, port: int) -> list[AddressInfo] | Exception:
    """Ask the system's resolver, in a thread. Errors are returned: gevent would print those that are raised there."""
    ask = socket.getaddrinfo
    if ask.__module__.startswith("gevent"):  # it would ask in a thread of its own
        ask = monkey.get_original("socket", "getaddrinfo")
    try:
        return list(ask(name, port, type=socket.SOCK_STREAM))
    except Exception as error:  # noqa: BLE001 - the asker raises it
        return error


def number_read(name: str) -> str | None:
    """Return the IPv4 address as which resolvers read *name*, such as ``127.1``; ``None``: they ask for it."""
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except OSError:
        return None


def has_interface(zone: str) -> bool:
    """Return whether this computer has the network interface *zone*: its name, or its number."""
    try:
        if zone.isascii() and zone.isdigit():
            socket.if_indextoname(int(zone))
        else:
            socket.if_nametoindex(zone)
    except (OSError, OverflowError, ValueError):
        return False
    return True


RESOLVER = Resolver()
"""The resolver of this process."""
