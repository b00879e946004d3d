"""Where running programs of a user meet: folders nobody else can look into, sockets with short names."""

import os
import tempfile
from pathlib import Path

import pytest

from quantcli.places import Project, socket_path, sockets

LONG = "a-folder-with-a-name-that-is-rather-long-for-a-socket-to-be-in-it"


def test_a_bots_socket_is_in_the_sessions_folder_and_named_after_it(tmp_path: Path) -> None:
    folder = tempfile.mkdtemp(dir="/tmp")
    session = {"XDG_RUNTIME_DIR": folder, "TMPDIR": folder}
    path = socket_path(Project(tmp_path), "mm", session)
    assert path is not None
    assert path.parent == Path(session["XDG_RUNTIME_DIR"]) / "quantcli"
    assert path.name.startswith("mm.")
    assert path != socket_path(Project(tmp_path / "another"), "mm", session)
    path.touch()
    assert sockets(session) == [path]
    path.unlink()
    path.parent.rmdir()
    path.parent.parent.rmdir()


def test_where_all_folders_have_long_names_a_short_one_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / LONG / LONG
    far.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(far))
    path = socket_path(Project(tmp_path), "mm", {"XDG_RUNTIME_DIR": str(far)})
    assert path is not None
    try:
        assert len(os.fsencode(path)) < 104
        assert path.parent.stat().st_mode & 0o777 == 0o700
        path.touch()
        assert path in sockets({"XDG_RUNTIME_DIR": str(far)})
    finally:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
