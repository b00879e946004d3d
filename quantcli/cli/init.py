"""`quant init`: the three files that a project begins with."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from quantcli.cli.output import Output, OutputOption, document, emit, note
from quantcli.errors import SafetyError, UsageError
from quantcli.places import CONFIG_NAME, bot_name

_NEXT = """next
  quant record binance BTC/USDT --for 10m      market data; needs no account
  quant simulate --from recordings             the strategy on what was recorded
  quant trade --symbol BTC/USDT                on paper, on the live market"""


def command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where; made if need be.")] = Path(),
    output: OutputOption = Output.TABLE,
) -> None:
    """Begin a project: write quant.toml, mystrat.py and .gitignore.  Nothing is overwritten."""
    root = directory.resolve()
    texts = {
        CONFIG_NAME: config_text(_bot(root)),
        "mystrat.py": template("mystrat.py"),
        ".gitignore": template("gitignore"),
    }
    if there := [name for name in (CONFIG_NAME, "mystrat.py") if (root / name).exists()]:
        raise SafetyError(
            f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already",
            why=f"{root} has a project, and nothing is overwritten",
            todo="quant init ANOTHER_FOLDER",
        )
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is no folder", todo="name one, or a new one")
    root.mkdir(parents=True, exist_ok=True)
    written = [name for name, text in texts.items() if _write(root / name, text)]
    found = document("Project", {"root": str(root), "written": written})
    emit(found, output, lambda _: f"wrote {', '.join(written)} in {root}")
    note(_NEXT if root == Path.cwd() else f"cd {directory}\n{_NEXT}")


def template(name: str) -> str:
    """The text of a file that comes with us."""
    return files("quantcli.cli").joinpath("templates", name).read_text(encoding="utf-8")


def config_text(bot: str, strategy: str = "mystrat.py") -> str:
    """A new project's `quant.toml`."""
    text = template(CONFIG_NAME)
    for before, after in (("mm-btc", bot), ("mystrat.py", strategy)):
        # What stands behind it stays in its column, if it can.
        standing = re.search(f'"{before}" +#', text)
        assert standing is not None
        text = text.replace(standing[0], f'"{after}"'.ljust(len(standing[0]) - 2) + " #")
    return text.replace(".quant/mm-btc.db", f".quant/{bot}.db")


def _bot(root: Path) -> str:
    """The bot is called like its folder, if that can be."""
    try:
        return bot_name(root.name)
    except UsageError:
        return "bot"


def _write(path: Path, text: str) -> bool:
    """Write a file that is not there yet; whether it was not."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
