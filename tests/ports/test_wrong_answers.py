"""Libraries that ask the host, where a file says HOST: what is refused, and what is right."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.twins import Twins
from procpath import RootedPath
from procpath.porting import TextLeakWarning, text_leaks

click: Any = pytest.importorskip("click")
distro: Any = pytest.importorskip("distro")
elffile: Any = pytest.importorskip("elftools.elf.elffile")


def test_click_asks_the_host_whether_a_path_exists(twins: Twins) -> None:
    bound = RootedPath.bind(twins.inside.root_handle)
    (twins.host / "only-there").write_text("HOST")
    (twins.inside / "only-here").write_text("inside")
    asking = click.Path(exists=True, path_type=bound)
    assert not asking.convert(str(twins.host / "only-there"), None, None).exists()
    with pytest.raises(click.BadParameter):
        asking.convert(str(twins.host / "only-here"), None, None)
    with pytest.raises(TypeError):
        asking.convert(twins.inside / "f", None, None)
    # What to write instead: the class alone, and the question afterwards.
    chosen = click.Path(path_type=bound).convert(str(twins.host / "only-here"), None, None)
    assert chosen.read_text() == "inside"


def test_distro_needs_a_copy_of_the_directory(twins: Twins) -> None:
    for directory in twins:
        (directory / "etc").mkdir()
        (directory / "usr/lib").mkdir(parents=True)
        name = (directory / "f").read_text()
        (directory / "usr/lib/os-release").write_text(f"ID={name}\nNAME={name}\n")
        (directory / "etc/os-release").symlink_to(twins.host / "usr/lib/os-release")

    def name_of(place: Any) -> str:
        found: str = distro.LinuxDistribution(root_dir=place, include_lsb=False).name()
        return found

    with twins.inside.pin() as pinned:
        assert name_of(os.fspath(pinned)) == "HOST"
    with twins.inside.as_file() as copy:
        assert name_of(os.fspath(copy)) == "inside"
    with pytest.raises(TypeError):
        name_of(twins.inside)
    # One file that is opened as it is given may be pinned.
    with (twins.inside / "etc/os-release").pin() as pinned:
        one = distro.LinuxDistribution(
            os_release_file=os.fspath(pinned), include_lsb=False, distro_release_file="/none"
        )
        assert one.name() == "inside"


def test_a_program_s_second_look_by_name_fails(twins: Twins) -> None:
    """As granulate_utils.linux.elf.get_elf_id(), which hashed the host's file."""
    for directory, program in ((twins.inside, "/bin/tar"), (twins.host, "/bin/ls")):
        (directory / "program").write_bytes(Path(program).read_bytes())
    with (twins.inside / "program").open("rb") as file:
        parsed = elffile.ELFFile(file)
        assert parsed.num_sections() > 0
        with pytest.raises(TypeError):
            open(parsed.stream.name)
        assert parsed.stream.name.read_bytes() == Path("/bin/tar").read_bytes()


ARCHIVING: dict[str, Callable[[Any, tarfile.TarFile], object]] = {
    "add": lambda name, archive: archive.add(name, "member"),
    "gettarinfo": lambda name, archive: archive.addfile(archive.gettarinfo(name, "member")),
}


@pytest.mark.parametrize("way", ARCHIVING)
def test_a_pinned_file_is_a_link_in_an_archive(way: str, twins: Twins, tmp_path: Path) -> None:
    with (twins.inside / "f").pin() as pinned:
        with tarfile.open(tmp_path / "pinned.tar", "w") as archive:
            ARCHIVING[way](os.fspath(pinned), archive)
    with tarfile.open(tmp_path / "pinned.tar") as archive:
        # It leads to the host's file.
        assert archive.getmember("member").linkname == str(twins.host / "f")
    with (
        (twins.inside / "f").as_file() as copy,
        tarfile.open(tmp_path / "copy.tar", "w") as archive,
    ):
        archive.add(copy, "member")
    with tarfile.open(tmp_path / "copy.tar") as archive:
        member = archive.extractfile("member")
        assert member is not None
        with member:
            assert member.read() == b"inside"


def test_what_makes_a_text_of_its_argument_is_found(twins: Twins) -> None:
    """fsspec, as UPath and diskcache.Cache, takes the text for a file of the host."""
    fsspec: Any = pytest.importorskip("fsspec")
    with pytest.warns(TextLeakWarning), text_leaks() as leaks:
        with fsspec.open(f"{twins.inside / 'f'}") as file:
            assert file.read() == b"HOST"
    assert [leak.path for leak in leaks] == [twins.inside / "f"]
