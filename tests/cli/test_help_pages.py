"""`quant help`: every kind of error has a page, and every command on a page exists."""

import re
import shlex

import pytest

from quantcli import errors
from quantcli.cli import app
from quantcli.cli.catalogue import PAGES, TOPICS
from quantcli.errors import QuantError


def kinds(of: type[QuantError]) -> set[type[QuantError]]:
    """An error and all that derive from it on the page of errors."""
    below = [each for kind in of.__subclasses__() for each in kinds(kind)]
    return {of, *below} & {value for value in vars(errors).values() if isinstance(value, type)}


def commands(code: str) -> list[list[str]]:
    """The words of each command on a page."""
    lines = [re.split(r"\s{2,}", line)[0] for line in PAGES[code].todo]
    return [shlex.split(line) for line in lines if line.startswith("quant ")]


def test_every_error_has_a_page_of_its_own():
    codes = {kind: kind.help_id for kind in kinds(QuantError)}
    assert len(set(codes.values())) == len(codes)
    assert set(codes.values()) == set(PAGES)


@pytest.mark.parametrize("code", PAGES)
def test_a_page_says_what_why_and_what_to_do(quant, code):
    said = quant("help", code)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith(f"{code}: ")
    assert all(f"\n  {label}" in said.stdout for label in ("what", "why", "do"))
    assert max(map(len, PAGES[code].todo)) < 100
    assert quant("help", code.lower()).stdout == said.stdout
    assert quant("help", code.removeprefix("QNT-")).stdout == said.stdout


@pytest.mark.parametrize("code", PAGES)
def test_the_commands_on_a_page_exist(code):
    for _, *words in commands(code):
        while words and words[0].startswith("-"):
            words.pop(0)
        if not words:
            continue
        verb, *rest = words
        command = app.load(verb)
        known = [command]
        if rest and rest[0] in getattr(command, "commands", {}):
            known.append(command.commands[rest.pop(0)])
        elif hasattr(command, "commands"):
            known += list(command.commands.values())
        flags = {
            flag for each in known for param in each.params for flag in param.opts + param.secondary_opts
        }
        assert {word for word in rest if word.startswith("-")} <= flags | {"--help"}, (code, words)


@pytest.mark.parametrize("topic", TOPICS)
def test_topics_have_a_page(quant, topic):
    assert quant("help", topic).stdout == TOPICS[topic] + "\n"


def test_every_exit_code_of_an_error_is_explained():
    assert all(re.search(rf"^  {kind.exit_code}\s", TOPICS["exit-codes"], re.M) for kind in kinds(QuantError))


def test_help_lists_what_there_is_and_knows_verbs(quant):
    said = quant("help").stdout
    assert all(name in said for name in [*PAGES, *TOPICS, *app.VERBS])
    assert "Usage: quant orders" in quant("help", "orders").stdout
    said = quant("help", "QNT-999")
    assert (said.returncode, said.stdout) == (7, "")


@pytest.mark.parametrize(
    ("shell", "word"), [("bash", "complete "), ("zsh", "compdef"), ("fish", "complete ")]
)
def test_a_shell_gets_its_completion_script(quant, shell, word):
    said = quant("completion", shell)
    assert (said.returncode, said.stderr) == (0, "")
    assert word in said.stdout
    assert "_QUANT_COMPLETE" in said.stdout


def test_completion_knows_verbs_and_bots(program, project, monkeypatch):
    def completed(line: str) -> list[str]:
        monkeypatch.setenv("_QUANT_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        return program().stdout.split()

    assert completed("quant ord") == ["orders"]
    assert "mm" in completed("quant orders list --name ")
    assert "flatten" in completed("quant positions ")
