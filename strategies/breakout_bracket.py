"""Breakout: buy above the channel of the last bars; a stop and a target guard what was bought."""

from collections.abc import Iterator

from quantcli import Fill, Market, Param, Strategy, Wish, bracket, ta


class BreakoutBracket(Strategy):
    bars = "5m"
    lookback = Param(12, range=(2, 200), help="bars of the channel")
    risk = Param("0.1 %", help="of the account's worth, lost between entry and stop")
    width = Param(2.0, min=0.1, help="distance of the stop, in average true ranges")
    reward = Param(2.0, min=0.1, help="distance of the target, in units of that risk")

    def setup(self, m: Market) -> None:
        m.channel, m.atr = m.use(ta.Donchian(self.lookback)), m.use(ta.ATR(14))

    def desired(self, m: Market) -> Iterator[Wish]:
        if not m.flat:
            return  # the exits guard the position; there is nothing to add

        entry = m.channel.upper + m.tick
        stop = entry - max(self.width * m.atr, 2 * m.tick)
        yield bracket(
            "breakout",
            size=m.size_for(risk=self.risk, entry=entry, stop=stop),
            entry_stop=entry,
            stop_loss=stop,
            take_profit=entry + self.reward * (entry - stop),
        )

    def on_fill(self, fill: Fill) -> None:
        self.log.info("%s filled at %s", self.event.intent.metadata["leg"], fill.price)
