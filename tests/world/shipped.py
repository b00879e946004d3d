"""The exchanges of the shipped manifests, as personalities: each behaves as badly as its contract allows."""

from quantcli.errors import ConfigError
from quantcli.model.venue import Resolution
from quantcli.venues import manifest

from .personality import Personality


def personalities() -> tuple[Personality, ...]:
    """One for each exchange and kind of market that has a manifest."""
    found = []
    for exchange in manifest.exchanges():
        for market in ("spot", "futures"):
            try:
                known = manifest.load(exchange, market)
            except ConfigError:
                continue  # it has no such market
            found.append(_of(known))
    return tuple(found)


def _of(known: manifest.Manifest) -> Personality:
    contract = known.contract
    return Personality(
        f"{known.exchange} {known.market}",
        contract,
        fenced=contract.resolution is Resolution.PROVE,
        idempotent=contract.resolution is Resolution.RESEND,
        early_ack=known.stream.early_ack,
        early_cancel=known.stream.early_ack,
        names_trades=False,
        fills_in_answers=False,
        base_fee=known.market == "spot",
    )
