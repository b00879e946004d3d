"""What an answer that carries no order says about the request: refused, absent, or nothing at all.

Only an error that the manifest names is a refusal; every other answer is `Silence`, because the request may
have been carried out.  Knows no exchange by name and reads no orders.
"""

import hashlib

import msgspec

from quantcli.model.message import Absence, Asked, Observation, Refusal, Silence
from quantcli.venues.calls import Answer
from quantcli.venues.classify import Meaning, classify
from quantcli.venues.error_body import fault_of
from quantcli.venues.manifest import Manifest


class Request(msgspec.Struct, frozen=True):
    """What was asked of one order, as far as a report repeats it; see `model.message`."""

    asked: Asked
    client_order_id: str
    asked_ns: int = 0
    number: int = 0

    def silence(self, reason: str, sent: bool = True) -> Silence:
        """Nothing usable came back."""
        return Silence(self.client_order_id, self.asked, reason, sent, self.number)


def judge(request: Request, answer: Answer, manifest: Manifest, venue_ns: int) -> Refusal | Absence | Silence:
    """What an answer without an order means; `venue_ns` is the exchange's time."""
    fault = fault_of(answer.body, manifest.error_body)
    code, text = (fault.code, fault.text) if fault else (None, "")
    meaning = classify(manifest.errors, request.asked, answer.status, code, text)
    if meaning is Meaning.ABSENT:
        return Absence(request.client_order_id, venue_ns, request.asked_ns)
    kind = meaning.refused
    if kind is None or fault is None:
        return request.silence(unusable(answer, f"{fault.code} {fault.text}" if fault else ""))
    return Refusal(
        request.client_order_id,
        request.asked,
        fault.code,
        fault.text,
        kind,
        asked_ns=request.asked_ns,
        number=request.number,
    )


def sighting(
    request: Request, seen: Observation, answer: Answer, client_order_id: str
) -> Observation | Silence:
    """An order that an answer shows, if it is the one that was asked for: it bears `client_order_id` (as the
    exchange spells it) and one of the exchange's."""
    if seen.client_order_id != client_order_id or not seen.exchange_order_id:
        return request.silence(unusable(answer, "it shows another order, or none"))
    return msgspec.structs.replace(seen, client_order_id=request.client_order_id)


def unusable(answer: Answer, what: str = "") -> str:
    """A reason that a person can follow up: status, size and digest of what came, never the whole of it."""
    digest = hashlib.sha256(answer.body).hexdigest()[:12]
    return f"HTTP {answer.status}, {len(answer.body)} bytes {digest}: {what or 'no reply of the exchange'}"
