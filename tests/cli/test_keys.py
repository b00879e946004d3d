"""Where keys are looked for and in which order, and that nothing of them is left lying or shown."""

import os
import subprocess
import sys
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from quantcli.cli.keys import key_of, refuse_to_show_the_key, required_key
from quantcli.errors import ConfigError, SafetyError
from quantcli.keychain import Key, find_key, forget, remove_key, store_key
from quantcli.venues.calls import Credentials

KEY, SECRET = "QUANT_BINANCE_API_KEY", "QUANT_BINANCE_SECRET"


class Ring(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 5
    name = "in memory"

    def __init__(self):
        super().__init__()
        self.kept = {}
        self.is_locked = False

    def get_password(self, service, username):
        self._unlocked()
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self._unlocked()
        self.kept[service, username] = password

    def delete_password(self, service, username):
        self._unlocked()
        del self.kept[service, username]

    def _unlocked(self):
        if self.is_locked:
            raise keyring.errors.KeyringLocked("it is locked")


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    ring = Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def home(tmp_path):
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


def credentials(home) -> Path:
    return Path(home["XDG_CONFIG_HOME"]) / "quantcli" / "credentials.toml"


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def pair(key):
    return key and (key.api_key, key.secret)


def test_each_place_comes_before_the_next(tmp_path, home, ring):
    store_key("binance", Key("k-ring", "s-ring"), home)
    written(credentials(home), '[binance]\napi_key = "k-file"\nsecret = "s-file"\n')
    dotenv = written(tmp_path / ".env", f"{KEY}=k-dotenv\n{SECRET}=s-dotenv\n")
    systemd = tmp_path / "systemd"
    written(systemd / "quant_binance_api_key", "k-systemd\n")
    written(systemd / "quant_binance_secret", "s-systemd\n")
    env = home | {KEY: "k-env", SECRET: "s-env", "CREDENTIALS_DIRECTORY": str(systemd)}

    def found():
        key = find_key("binance", env, tmp_path)
        return key and (key.api_key, key.secret, key.where)

    assert found() == ("k-env", "s-env", "the environment")
    del env[KEY], env[SECRET]
    assert found() == ("k-systemd", "s-systemd", "systemd's credentials")
    del env["CREDENTIALS_DIRECTORY"]
    assert found() == ("k-dotenv", "s-dotenv", str(dotenv))
    dotenv.unlink()
    assert found() == ("k-ring", "s-ring", "the keyring (in memory)")
    ring.kept.clear()
    assert found() == ("k-file", "s-file", str(credentials(home)))
    credentials(home).unlink()
    assert found() is None


def test_a_variable_may_name_a_file(tmp_path, home):
    secret = written(tmp_path / "secret", "from-a-file\n")
    env = home | {KEY: "k", f"{SECRET}_FILE": str(secret)}
    assert pair(find_key("binance", env, tmp_path)) == ("k", "from-a-file")
    secret.unlink()
    with pytest.raises(ConfigError, match="QUANT_BINANCE_SECRET_FILE, cannot be read"):
        find_key("binance", env, tmp_path)


@pytest.mark.parametrize("name", [KEY, SECRET])
def test_half_a_key_is_not_completed_from_elsewhere(tmp_path, home, name):
    store_key("binance", Key("k", "s"), home)
    with pytest.raises(ConfigError, match="half a key") as caught:
        find_key("binance", home | {name: "hush"}, tmp_path)
    assert f"{KEY} and {SECRET} are not both set" in caught.value.why
    assert "hush" not in str(caught.value) + caught.value.why


def test_what_is_kept_in_a_file_is_ours_alone(tmp_path, home):
    store_key("binance", Key("k", "s"), home)
    store_key("okx", Key("k2", "s2"), home)
    path = credentials(home)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert pair(find_key("okx", home, tmp_path)) == ("k2", "s2")
    assert remove_key("binance", home) == [str(path)]
    assert find_key("binance", home, tmp_path) is None
    assert remove_key("okx", home) == [str(path)]
    assert not path.exists()
    assert remove_key("okx", home) == []


@pytest.mark.parametrize("name", [".env", "credentials.toml"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_others_may_use_is_refused(tmp_path, home, name, mode):
    path = tmp_path / ".env" if name == ".env" else credentials(home)
    written(tmp_path / ".env", f"{KEY}=k\n{SECRET}=hush\n", mode if name == ".env" else 0o600)
    if name != ".env":
        (tmp_path / ".env").unlink()
        written(path, '[binance]\napi_key = "k"\nsecret = "hush"\n', mode)
    with pytest.raises(ConfigError, match="others may read") as caught:
        find_key("binance", home, tmp_path)
    error = caught.value
    assert f"its mode is {mode:04o}" in error.why
    assert f"chmod 600 {path}" in error.todo
    assert "hush" not in str(error) + error.why + error.todo


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_somebody_elses_file_is_refused(tmp_path, home):
    path = written(credentials(home), '[binance]\napi_key = "k"\nsecret = "s"\n')
    os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match="belongs to somebody else"):
        find_key("binance", home, tmp_path)


@pytest.mark.parametrize("text", ['[binance]\nsecret = "hush', 'binance = "hush"\n', "\udc80"])
def test_a_file_that_cannot_be_read_is_not_quoted(tmp_path, home, text):
    path = written(credentials(home), "")
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match="is not what `quant login` writes") as caught:
        find_key("binance", home, tmp_path)
    assert "hush" not in repr(caught.value.__context__) + str(caught.value) + caught.value.why


def test_a_keyring_keeps_it_and_the_file_does_not(tmp_path, home, ring):
    written(credentials(home), '[binance]\napi_key = "old"\nsecret = "old"\n')
    assert store_key("binance", Key("k", "s"), home) == "the keyring (in memory)"
    assert not credentials(home).exists()
    assert pair(find_key("binance", home, tmp_path)) == ("k", "s")
    assert remove_key("binance", home) == ["the keyring (in memory)"]
    assert ring.kept == {}


def test_a_keyring_that_is_locked_is_told_unless_the_key_is_elsewhere(tmp_path, home, ring):
    ring.is_locked = True
    with pytest.raises(ConfigError, match="the keyring cannot be used") as caught:
        find_key("binance", home, tmp_path)
    assert "it is locked" in caught.value.why
    with pytest.raises(ConfigError, match="the keyring cannot be used"):
        store_key("binance", Key("k", "s"), home)
    written(credentials(home), '[binance]\napi_key = "k"\nsecret = "s"\n')
    assert pair(find_key("binance", home, tmp_path)) == ("k", "s")


def test_a_keyring_that_keeps_nothing_is_none(home, ring):
    ring.__class__.priority = 0.5
    try:
        assert store_key("binance", Key("k", "s"), home) == str(credentials(home))
    finally:
        ring.__class__.priority = 5


def test_taken_from_the_environment_it_is_gone_there_for_every_exchange(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {KEY: "k", SECRET: "s", "QUANT_OKX_SECRET": "o", f"{SECRET}_FILE": "x"}.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("QUANT__NOTIFY__URLS", "tgram://token")
    monkeypatch.setenv("QUANT_DEBUG", "0")
    key = key_of("binance")
    assert (key.api_key, key.secret) == ("k", "s")
    assert [name for name in os.environ if name.startswith("QUANT")] == ["QUANT_DEBUG"]
    assert key_of("binance") is None


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="there is no /proc")
def test_nor_does_the_system_show_it_any_more():
    """Unsetting a variable leaves it where /proc/PID/environ reads."""
    script = (
        "from quantcli.cli.keys import key_of; key = key_of('binance'); "
        "assert (key.api_key, key.secret) == ('canary-key', 'canary-secret'); "
        "print(open('/proc/self/environ').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env=os.environ | {KEY: "canary-key", SECRET: "canary-secret"},
        check=True,
    )
    assert "PATH=" in done.stdout
    assert "canary" not in done.stdout


def test_without_a_key_it_is_said_where_one_would_be_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="no key for binance") as caught:
        required_key("binance")
    assert f"{KEY} and {SECRET} are not both set" in caught.value.why
    assert "quant login binance" in caught.value.todo


@pytest.mark.parametrize("key", [Key("key-key-key-key", "hush"), Credentials("key-key-key-key", "hush")])
def test_the_text_of_a_key_is_not_the_key(key):
    for text in (repr(key), str(key), f"{key}", f"{[key]}"):
        assert "hush" not in text
        assert "key-key" not in text


def test_forgetting_touches_nothing_else():
    env = {"QUANT__LIMITS__MAX_OPEN": "1", "MY_SECRET": "x", "QUANT_KRAKEN_API_KEY": "k"}
    forget(env)
    assert env == {"QUANT__LIMITS__MAX_OPEN": "1", "MY_SECRET": "x"}


def test_a_key_never_leaves_this_machine_unencrypted():
    refuse_to_show_the_key(None)
    refuse_to_show_the_key("http://127.0.0.1:80")
    with pytest.raises(SafetyError, match="unencrypted"):
        refuse_to_show_the_key("http://192.0.2.1")


def test_a_strategy_finds_no_key_on_paper_either(quant, tmp_path, walk, monkeypatch):
    monkeypatch.setenv(SECRET, "hush")
    (tmp_path / "mine.py").write_text(
        "import os\nfrom quantcli import Strategy\n"
        f"assert '{SECRET}' not in os.environ\nclass Mine(Strategy):\n    def on_tick(self, tick): ...\n"
    )
    done = quant("simulate", "--from", str(walk), "--strategy", "mine.py", "-o", "json")
    assert done.returncode == 0, done.stderr
