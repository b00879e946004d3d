"""Timers of a strategy: something to call `on_timer` for, again and again.  Time is handed in."""


class _Timer:
    __slots__ = ("due_ns", "every_ns")

    def __init__(self, every_ns: int, now_ns: int) -> None:
        self.every_ns = every_ns
        self.due_ns = now_ns + every_ns


class Timers:
    """By name; one that was late rings once."""

    def __init__(self) -> None:
        self._timers: dict[str, _Timer] = {}

    def start(self, name: str, every_ns: int, now_ns: int) -> None:
        """Begin to ring; one of the same name and time goes on as it was."""
        known = self._timers.get(name)
        if known is None or known.every_ns != every_ns:
            self._timers[name] = _Timer(every_ns, now_ns)

    def next_due(self) -> int | None:
        """When the next one rings."""
        return min((timer.due_ns for timer in self._timers.values()), default=None)

    def ring(self, now_ns: int) -> list[str]:
        """Those that are due; they are set to ring again."""
        due = [(name, timer) for name, timer in self._timers.items() if timer.due_ns <= now_ns]
        for _, timer in due:
            timer.due_ns += timer.every_ns * ((now_ns - timer.due_ns) // timer.every_ns + 1)
        return [name for name, _ in due]
