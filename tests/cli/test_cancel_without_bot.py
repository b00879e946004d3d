"""Orders of a bot that does not run are cancelled at its exchange from here, or it is said why not."""

import json
import time

from tests.live.bot import Bot
from tests.loopback import Sandbox

_RESTS = """
from quantcli import Strategy, keep

class Rests(Strategy):
    symbols = ("BTC/USDT",)

    def desired(self, m):
        yield keep.bid("low", 0.01, round(m.best_bid * 0.9))
        yield keep.bid("lower", 0.01, round(m.best_bid * 0.8))
"""


def test_on_paper_there_is_nowhere_to_cancel(quant, project):
    said = quant("orders", "cancel", "0001", "--yes")
    assert (said.returncode, said.stdout) == (3, "")
    assert "a bot on paper has no exchange" in said.stderr
    assert "quant trade --name mm" in said.stderr


def test_what_needs_the_bot_says_so(quant, project):
    for words in (
        ("orders", "adopt", "1", "--yes"),
        ("orders", "pause", "bid", "--yes"),
        ("positions", "flatten", "BTC/USDT", "--yes"),
        ("trust", "--yes"),
        ("stop",),
    ):
        said = quant(*words)
        assert (said.returncode, said.stdout) == (3, ""), words
        assert said.stderr.startswith("error QNT-802: mm is not running\n")


def test_an_order_of_a_killed_bot_is_cancelled_at_the_exchange(tmp_path):
    with Sandbox("--balance", "100000 USDT") as exchange:
        told = {"url": exchange.url, "api_key": exchange.key, "secret": exchange.secret}
        bot = Bot(tmp_path, told, _RESTS)
        try:
            bot.start()
            bot.wait_ready()
            ends = time.monotonic() + 20
            while sum(order["status"] == "NEW" for order in exchange.orders()) < 2:
                assert time.monotonic() < ends
                time.sleep(0.05)
            bot.kill()
            low, lower = json.loads(bot.run("orders", "--json").stdout)["items"]
            assert (low["slot"], lower["slot"]) == ("low", "lower")

            said = bot.run("orders", "cancel", low["intent_id"])
            assert said.returncode == 8
            said = bot.run("orders", "cancel", low["intent_id"], "--yes")
            assert (said.returncode, said.stdout.split(" at ")[0]) == (0, "cancelled 1"), said.stderr
        finally:
            bot.end()
        left = {order["client_order_id"]: order["status"] for order in exchange.orders()}
        assert left == {low["client_order_id"]: "CANCELED", lower["client_order_id"]: "NEW"}
        known = json.loads(bot.run("orders", "--json").stdout)["items"]
        assert [item["slot"] for item in known] == ["lower"]
        assert "by hand" in bot.run("orders", "why", low["intent_id"]).stdout
