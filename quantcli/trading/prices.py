"""Prices on their way to the kernel, for orders that follow them."""

from quantcli.kernel.api import ExchangeKernel
from quantcli.model.instrument import to_decimal
from quantcli.model.market import Ticker


async def tell_quote(kernel: ExchangeKernel, quote: Ticker) -> None:
    """Tell the kernel best prices; a market with an empty side has none to go by."""
    if quote.bid and quote.ask:
        await kernel.quote(quote.symbol, to_decimal(quote.bid), to_decimal(quote.ask))
