"""What the styles look like: the one table of colours.  All is said by characters before it is coloured.

Blue is buy and long, orange sell and short (told apart by nearly everybody); the other colours are the
terminal's own sixteen, on its own background.
"""

BUY, SELL = "#56B4E9", "#E69F00"

STYLES = {
    "": "",
    "dim": "dim",
    "strong": "bold",
    "rule": "dim",
    "heading": "bold",
    "key": "bold",
    "buy": BUY,
    "sell": SELL,
    "alarm": "bold reverse",
    "warn": "bold",
    "live": "bold reverse",
    "testnet": "bold",
    "paper": "bold",
    "replay": "bold",
    "mark-=": "green",
    "mark-~": "yellow",
    "mark-+": "cyan",
    "mark-x": "red",
    "mark-/": "blue",
    "mark-!": "bold reverse",
    "mark->": "bold",
    "mark-?": "bold yellow",
    "chosen": "bold",
    "button": "bold reverse",
    "ours": "bold",
}


def look(name: str) -> str:
    """How a style is shown, in Rich's words; one that ends in "*" belongs to the chosen row, and is bold."""
    return f"{STYLES[name[:-1]]} bold".strip() if name.endswith("*") else STYLES[name] or "none"
