"""The standard library works on files inside a root, through a RootedPath."""

from __future__ import annotations

import configparser
import copy
import csv
import importlib.resources
import importlib.resources.abc
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pathlib_abc
import pytest

from helpers.support import open_descriptors
from procpath import ProcessGoneError, Root, RootedPath


@pytest.fixture
def inside(tmp_path: pathlib.Path) -> RootedPath:
    """The directory `/data` of a root, reached through an absolute link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "data").symlink_to("/real")
    return RootedPath(tmp_path, "data")


def test_it_is_a_traversable_and_as_file_takes_it(inside: RootedPath) -> None:
    (inside / "resource.txt").write_text("content")
    assert isinstance(inside, importlib.resources.abc.Traversable)
    with importlib.resources.as_file(inside / "resource.txt") as copied:
        assert isinstance(copied, pathlib.Path)
        assert copied.read_text() == "content"
    assert not copied.exists()


if sys.version_info >= (3, 12):

    def test_as_file_takes_a_directory(inside: RootedPath) -> None:
        (inside / "package/sub").mkdir(parents=True)
        (inside / "package/sub/module.py").write_text("answer = 42\n")
        with importlib.resources.as_file(inside / "package") as copied:
            assert (copied / "sub/module.py").read_text() == "answer = 42\n"


def test_tomllib_and_json(inside: RootedPath) -> None:
    (inside / "a.toml").write_text('[tool]\nname = "x"\n')
    with (inside / "a.toml").open("rb") as file:
        assert tomllib.load(file) == {"tool": {"name": "x"}}
    with (inside / "a.json").open("w") as file:
        json.dump({"name": "x"}, file)
    assert json.loads((inside / "a.json").read_bytes()) == {"name": "x"}


def test_zipfile(inside: RootedPath) -> None:
    with (inside / "a.zip").open("w+b") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("member", "content")
    with (inside / "a.zip").open("rb") as file, zipfile.ZipFile(file) as archive:
        assert archive.read("member") == b"content"


def test_tarfile(inside: RootedPath) -> None:
    (inside / "member").write_text("content")
    with (inside / "a.tar.gz").open("wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        with (inside / "member").open("rb") as member:
            tar.addfile(tar.gettarinfo(arcname="member", fileobj=member), member)
    with (inside / "a.tar.gz").open("rb") as file, tarfile.open(fileobj=file) as tar:
        extracted = tar.extractfile("member")
        assert extracted is not None
        assert extracted.read() == b"content"


def test_configparser_and_csv(inside: RootedPath) -> None:
    (inside / "a.ini").write_text("[section]\nkey = value\n")
    parser = configparser.ConfigParser()
    with (inside / "a.ini").open() as file:
        parser.read_file(file, source=str(inside / "a.ini"))
    assert parser["section"]["key"] == "value"
    with (inside / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b\nc"], ["1", "2"]])
    with (inside / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b\nc"], ["1", "2"]]


def test_code_that_takes_plain_paths_is_confined_by_the_opener(inside: RootedPath) -> None:
    (inside / "f").write_text("content")
    with open("/data/f", opener=inside.root_handle.opener) as file:
        assert file.read() == "content"
    with io.open("/data/new", "x", opener=inside.root_handle.opener) as file:  # noqa: UP020
        file.write("made inside")
    assert (inside / "new").read_text() == "made inside"


def test_another_program_takes_a_pinned_path(inside: RootedPath) -> None:
    (inside / "f").write_text("content")
    with (inside / "f").pin() as pinned:
        (inside / "f").unlink()
        assert pathlib.Path(pinned).read_text() == "content"
        done = subprocess.run(
            ["cat", pinned], pass_fds=[pinned.fileno()], stdout=subprocess.PIPE, check=True
        )
    assert done.stdout == b"content"


def test_the_abstract_paths_of_pathlib_abc_know_it(inside: RootedPath) -> None:
    for abstract in (
        pathlib_abc.JoinablePath,
        pathlib_abc.ReadablePath,
        pathlib_abc.WritablePath,
    ):
        assert isinstance(inside, abstract)
        for name in abstract.__abstractmethods__:
            assert hasattr(inside, name), name
    assert isinstance(inside.info, pathlib_abc.PathInfo)
    (inside / "f").write_text("content")
    with (inside / "f").__open_reader__() as file:
        assert file.read() == b"content"
    with (inside / "g").__open_writer__("x") as file:
        file.write(b"written")
    assert (inside / "g").read_bytes() == b"written"


def test_a_path_of_a_directory_survives_pickle(inside: RootedPath, tmp_path: pathlib.Path) -> None:
    bound = RootedPath.bind(tmp_path)
    for path in (inside, bound("relative/x"), bound("/data")):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(path, protocol))
            assert (again, type(again), hash(again)) == (path, type(path), hash(path))
            assert again.is_absolute() == path.is_absolute()
    dumped = pickle.dumps(inside)
    aside = tmp_path.rename(tmp_path.with_name("aside"))
    with pytest.raises(FileNotFoundError):
        pickle.loads(dumped)
    tmp_path.mkdir()
    with pytest.raises(OSError, match="no longer the directory"):
        pickle.loads(dumped)
    tmp_path.rmdir()
    aside.rename(tmp_path)
    assert pickle.loads(dumped) == inside


def test_a_path_of_a_process_survives_pickle() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        path = RootedPath(process.pid, "etc", "passwd")
        dumped = pickle.dumps(path)
        assert pickle.loads(dumped) == path
        process.kill()
    with pytest.raises(ProcessGoneError, match=str(process.pid)):
        pickle.loads(dumped)
    assert path.read_bytes() == pathlib.Path("/etc/passwd").read_bytes()


def test_a_pickle_has_options_but_no_descriptor(
    tmp_path: pathlib.Path,
) -> None:
    with Root.at(tmp_path, on_escape="raise", symlinks=False) as root:
        again = pickle.loads(pickle.dumps(root))
        assert again.options == root.options
        again.close()
        with Root.from_fd(root.fileno()) as bare, pytest.raises(TypeError, match="pickled"):
            pickle.dumps(bare)
        (tmp_path / "d").mkdir()
        with RootedPath(root, "d").as_root() as beneath:
            below = pickle.loads(pickle.dumps(RootedPath(beneath, "x")))
            assert below == RootedPath(beneath, "x")


def test_a_copy_of_a_path_shares_its_root(inside: RootedPath) -> None:
    before = open_descriptors()
    for copied in (copy.copy(inside), copy.deepcopy(inside), copy.deepcopy([inside])[0]):
        assert copied == inside
        assert copied.root_handle is inside.root_handle
    assert open_descriptors() == before


class Session(RootedPath):
    """A path that keeps something more, as `pathlib`'s own documentation shows it."""

    def __init__(self, root: Root, *segments: str, session_id: int) -> None:
        super().__init__(root, *segments)
        self.session_id = session_id

    def with_segments(self, *segments: str | RootedPath) -> Session:  # type: ignore[override]
        return type(self)(self.root_handle, *map(str, segments), session_id=self.session_id)


def test_a_subclass_with_more_arguments_keeps_them(tmp_path: pathlib.Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").touch()
    with Root.at(tmp_path) as root:
        path = Session(root, "d", session_id=7)
        made = [path / "x", path.parent, path.with_name("y"), *path.parents, path.resolve()]
        made += [*path.iterdir(), *path.glob("*"), *path.rglob("*"), path.joinpath("a", "b")]
        made += [each for each, _, _ in path.walk()]
        for derived in made:
            assert isinstance(derived, Session)
            assert derived.session_id == 7
    assert os.path.exists(tmp_path)
