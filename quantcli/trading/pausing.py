"""Slots of one market that can be withdrawn, paused, and let go on, by whoever looks after the bot.

Commands are given back, not carried out.  What slots are to wish for is `trading.quotes`' business.
"""

from quantcli.errors import NotFoundError
from quantcli.trading.slot import Slot, Stage
from quantcli.trading.wishes import CancelOrder, Command


class Pausing:
    """By name; all of them while `_closed` says why, or while a halt keeps them (`is_still`)."""

    def __init__(self) -> None:
        self._slots: dict[str, Slot] = {}
        self._closed = ""
        self._is_meddled = False
        self.is_still = False

    def withdraw(self) -> list[Command]:
        """Cancel every open order but the exits of brackets; what is held stays."""
        return [
            self._cancel(slot)
            for slot in self._slots.values()
            if slot.intent_id and slot.stage is not Stage.CANCELLING
        ]

    def pause(self, name: str, reason: str) -> list[Command]:
        """Withdraw a slot's order, or with no name those of all, and do nothing more there until `unpause`.

        Raises `NotFoundError` for a slot that has never been wished for.
        """
        if not name:
            self._closed = reason
            return self.withdraw()
        slot = self._named(name)
        slot.pause(reason)
        return [self._cancel(slot)] if slot.intent_id and slot.stage is not Stage.CANCELLING else []

    def unpause(self, name: str) -> None:
        """Let a slot act again, or with no name all of them; raises `NotFoundError` likewise."""
        for slot in [self._named(name)] if name else self._slots.values():
            slot.unpause()
        self._is_meddled, self._closed = False, ""

    def hurry(self) -> None:
        """Let slots that wait after refusals try again now: what they were refused for is over."""
        for slot in self._slots.values():
            if slot.failures and not slot.paused:
                slot.unpause()

    def _named(self, name: str) -> Slot:
        found = self._slots.get(name)
        if found is None:
            known = ", ".join(self._slots) or "none yet"
            raise NotFoundError(f"there is no slot {name!r} here", why=f"slots of this market: {known}")
        return found

    def is_free(self, name: str) -> bool:
        """A slot has no order, nor one on its way."""
        slot = self._slots.get(name)
        return slot is None or (slot.stage is Stage.EMPTY and not slot.exits)

    def ended(self) -> dict[str, str]:
        """Of the slots that were paused: which order each had last, by intent id."""
        return {slot.ended_id: slot.name for slot in self._slots.values() if slot.paused and slot.ended_id}

    def status(self) -> dict[str, str]:
        """Each slot's state in words."""
        told = {name: slot.status for name, slot in self._slots.items()}
        return dict.fromkeys(told, f"paused: {self._closed}") if self._closed else told

    def _cancel(self, slot: Slot) -> Command:
        slot.cancelling()
        return CancelOrder(slot.intent_id)
