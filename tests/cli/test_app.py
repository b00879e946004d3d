"""The frame of the command line: starting fast, help, and how errors end, tried on the real executable."""

import json
import subprocess
import sys

import pytest

from quantcli.cli import app
from quantcli.errors import ConfigError

HEAVY = {"ccxt", "pyarrow", "numpy", "textual", "pandas", "rich", "pydantic", "talipp", "plotext"}


def test_help_imports_no_verb_and_nothing_heavy(modules_after):
    imported = modules_after("--help")
    assert not imported & HEAVY
    assert not {name for name in imported if name.startswith("quantcli.") and name.count(".") > 1} - {
        "quantcli.cli.app",
        "quantcli.cli.output",
        "quantcli.model.instrument",
    }


def test_every_verb_is_listed_with_its_line(program):
    said = program("--help")
    assert said.returncode == 0
    for name, verb in app.VERBS.items():
        assert f"  {name} " in said.stdout
        assert verb.summary in said.stdout


@pytest.mark.parametrize("verb", app.VERBS)
def test_the_help_of_a_verb_imports_nothing_heavy(modules_after, verb):
    assert not modules_after(verb, "--help") & (HEAVY - {"pydantic"})  # which Typer itself uses for types


def test_without_a_verb_it_shows_its_help(program):
    said = program()
    assert (said.returncode, said.stderr) == (0, "")
    assert "Commands:" in said.stdout


def test_the_version_is_one_line(program):
    assert program("--version").stdout.startswith("quant ")
    versions = json.loads(program("version", "-o", "json").stdout)
    assert versions["kind"] == "Version"
    assert versions["versions"]["quantcli"] == program("--version").stdout.split()[1]


@pytest.mark.parametrize(
    ("words", "what", "do"),
    [
        (["oders"], "No such command 'oders'. Did you mean 'orders'?", "quant --help"),
        (["version", "--fast"], "No such option: --fast", "quant version --help"),
        (["version", "-o", "yaml"], "'yaml' is not one of", "quant version --help"),
        (["orders", "show"], "Missing argument 'ID'", "quant orders show --help"),
    ],
)
def test_a_usage_error_is_told_like_every_other(program, words, what, do):
    said = program(*words)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("error QNT-201: ")
    assert what in said.stderr
    assert said.stderr.endswith(f"  do    {do}\n  docs  quant help QNT-201\n")


def run_main(source: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`main()` with a verb `boom` whose body is `source`."""
    script = (
        "import sys, types\n"
        "from quantcli.cli import app\n"
        "module = types.ModuleType('quantcli.cli.boom')\n"
        f"def command():\n    from quantcli.errors import ConfigError\n    {source}\n"
        "module.command = command\n"
        "sys.modules['quantcli.cli.boom'] = module\n"
        "app.VERBS['boom'] = app.Verb('boom', 'command', 'Fails.')\n"
        "sys.argv = ['quant', 'boom']\n"
        "app.main()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=env, check=False
    )


def test_our_own_errors_carry_their_exit_code_and_no_traceback():
    said = run_main("raise ConfigError('no key', why='none is set', todo='quant login binance')")
    assert said.returncode == ConfigError.exit_code
    assert said.stderr == (
        "error QNT-401: no key\n  why   none is set\n  do    quant login binance\n"
        "  docs  quant help QNT-401\n"
    )


def test_a_bug_names_its_place_and_shows_its_traceback_only_when_asked():
    said = run_main("1 / 0")
    assert said.returncode == 1
    assert said.stderr.startswith(
        "error QNT-900: this is a bug in quant\n  why   ZeroDivisionError: division by zero\n"
    )
    assert "Traceback" not in said.stderr
    assert "Traceback" in run_main("1 / 0", QUANT_DEBUG="1").stderr
    assert "Traceback" not in run_main("1 / 0", QUANT_DEBUG="0").stderr


def test_debug_shows_the_traceback_of_our_own_errors_too(program):
    said = program("--debug", "orders")
    assert said.returncode == 7
    assert said.stderr.startswith("Traceback")
    assert "\nerror QNT-202: no bot has run here yet\n" in said.stderr


def test_an_interrupt_is_130_and_an_exit_code_is_kept():
    assert run_main("raise KeyboardInterrupt").returncode == 130
    assert run_main("import typer; raise typer.Exit(6)").returncode == 6


def test_a_reader_that_leaves_early_hears_no_complaint():
    script = "import sys; from quantcli.cli.app import main; sys.argv = ['quant', '--help']; main()"
    program = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None
    program.stdout.close()
    _, complaint = program.communicate()
    assert (program.returncode, complaint) == (0, b"")


def test_a_reader_that_leaves_while_a_verb_speaks_hears_no_complaint():
    said = run_main("import os; r, w = os.pipe(); os.dup2(w, 1); os.close(r); print('x' * 100_000)")
    assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.parametrize(
    ("source", "what", "why"),
    [
        ("open('/no/such/place')", "cannot use /no/such/place", "No such file or directory"),
        ("open('/dev/full', 'w').write('x' * 100_000)", "the system refused", "No space left on device"),
    ],
)
def test_what_the_system_refuses_is_no_bug_of_ours(source, what, why):
    said = run_main(source)
    assert said.returncode == 1
    assert said.stderr.partition(": ")[2].startswith(f"{what}\n  why   {why}\n  do    ")


@pytest.mark.parametrize("closed", [1, 2])
def test_a_stream_that_is_closed_from_the_start_changes_no_exit_code(closed):
    script = "import sys; from quantcli.cli.app import main; sys.argv = ['quant', 'oders']; main()"
    shell = f'exec "$0" -c "$1" {closed}>&-'
    said = subprocess.run(["sh", "-c", shell, sys.executable, script], capture_output=True, check=False)
    assert (said.returncode, b"Traceback" in said.stderr) == (2, False)
