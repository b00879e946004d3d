"""Before something is changed: what will happen is said, and a person is asked, at a terminal only."""

import msgspec


def test_nothing_is_what_happens_by_default(terminal, bot):
    program = terminal("orders", "cancel", "0001")
    program.until("cancel BTC/USDT bid buy 0.01 @ 64210.1")
    program.until("go on? [y/N]")
    program.type("\n")
    assert (program.wait(), bot.words) == (8, [])
    assert "nothing was done" in program.text


def test_yes_is_enough_where_no_money_is_at_stake(terminal, bot):
    program = terminal("orders", "cancel", "0001")
    program.until("[y/N]")
    program.type("y\n")
    assert program.wait() == 0
    assert bot.words == [("cancel", {"order": "ab000000000000000001"})]


def test_for_money_the_name_is_typed(terminal, bot):
    bot.status = msgspec.structs.replace(bot.status, world="LIVE")
    program = terminal("positions", "flatten", "BTC/USDT")
    program.until("type mm to go on:")
    program.type("y\n")
    assert (program.wait(), bot.words) == (8, [])
    program = terminal("positions", "flatten", "BTC/USDT")
    program.until("type mm to go on:")
    program.type("mm\n")
    assert program.wait() == 0
    assert bot.words == [("flatten", {"symbol": "BTC/USDT"})]


def test_an_end_of_input_is_a_no(terminal, bot):
    program = terminal("trust")
    program.until("[y/N]")
    program.type("\x04")
    assert (program.wait(), bot.words) == (8, [])


def test_halting_asks_nobody(terminal, bot):
    program = terminal("halt")
    assert program.wait() == 0
    assert bot.words[0][0] == "halt"
