"""Waiting inside a conversation: the conversation has no clock, so it asks for a pause as it asks for an answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pause:
    """Let some seconds pass before the next question; nothing is sent. The session's deadline moves by as much."""

    seconds: float
