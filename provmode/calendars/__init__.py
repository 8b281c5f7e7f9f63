"""When something may happen: calendars (iCalendar), and what they say of a moment. Pure.

* `wall_clock`   the moments at which clocks of a zone show a time
* `spans`        spans of time in UTC, and joining them
* `events`       the events of a calendar's text, checked
* `ics`          a calendar's text to spans: what recurs, what was moved, what was cancelled
* `opening`      whether a moment is inside windows and outside blackouts, why not, and until when
* `need`         how long a host may take, learned from the hosts so far

Times are compared in UTC. Private: programs import from `provmode.api`.
"""
