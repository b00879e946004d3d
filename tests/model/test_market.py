"""A book keeps its best prices while levels come and go; columns and structs say the same."""

from hypothesis import given
from hypothesis import strategies as st

from quantcli.model.market import BookUpdate, OrderBook, Ticker

PRICES = st.integers(1, 12).map(float)
LEVELS = st.lists(st.tuples(PRICES, st.sampled_from([0.0, 0.0, 1.0, 2.5])), max_size=6)
UPDATES = st.lists(st.tuples(st.booleans(), LEVELS, LEVELS), max_size=30)


def update(number: int, is_snapshot: bool, bids: list, asks: list) -> BookUpdate:
    return BookUpdate("A/B", 0, 0, number, is_snapshot, number, number, 0, bids, asks)


@given(UPDATES)
def test_a_book_is_what_its_updates_say(updates: list) -> None:
    book = OrderBook("A/B")
    sides: tuple[dict[float, float], dict[float, float]] = ({}, {})
    for number, (is_snapshot, *changes) in enumerate(updates):
        book.apply(update(number, is_snapshot, *changes))
        for side, levels in zip(sides, changes, strict=True):
            if is_snapshot:
                side.clear()
            for price, size in levels:
                side[price] = size
            for price in [p for p, size in side.items() if not size]:
                del side[price]
        assert (book.bids, book.asks) == sides
        assert book.best_bid == max(sides[0], default=0.0)
        assert book.best_ask == min(sides[1], default=0.0)
        assert book.last_id == number
    bids, asks = book.depth(3)
    assert bids == sorted(sides[0].items(), reverse=True)[:3]
    assert asks == sorted(sides[1].items())[:3]


@given(st.floats(1, 100), st.floats(0, 10), st.floats(0, 10))
def test_imbalance_is_the_bids_share(price: float, bid_size: float, ask_size: float) -> None:
    quote = Ticker("A/B", 0, 0, 0, price, bid_size, price + 1, ask_size, 0)
    assert 0 <= quote.imbalance <= 1
    assert quote.bid < quote.mid < quote.ask
