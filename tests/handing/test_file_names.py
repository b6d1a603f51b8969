"""What a library does with the name of a file that it is given stays in the root."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import pathlib
import tarfile
import wave
import xml.sax
import xml.sax.handler
import zipfile
from typing import IO, Any

import pytest

from procpath import RootedPath


@pytest.fixture
def twins(tmp_path: pathlib.Path) -> RootedPath:
    """The file ``<tmp_path>/app/f`` of a root; one with the same path on the host says HOST."""
    host = tmp_path / "app"
    inside = tmp_path / "root" / str(host).lstrip("/")
    for directory, word in ((host, "HOST"), (inside, "inside")):
        directory.mkdir(parents=True)
        for name in ("f", "part"):
            (directory / name).write_text(word)
    return RootedPath(tmp_path / "root", str(host), "f")


OPENINGS: dict[str, tuple[str, int]] = {
    "text": ("r", -1),
    "text for update": ("r+", -1),
    "text by lines": ("r", 1),
    "bytes": ("rb", -1),
    "bytes for writing": ("ab", -1),
    "bytes for update": ("r+b", 4096),
    "bytes without a buffer": ("rb", 0),
}


@pytest.mark.parametrize("how", OPENINGS)
def test_the_name_of_a_file_is_its_path(how: str, twins: RootedPath) -> None:
    mode, buffering = OPENINGS[how]
    opened: IO[Any] = twins.open(mode, buffering)
    with opened as file:
        assert file.name is twins  # type: ignore[comparison-overlap]
        assert repr(twins) in repr(file)


def test_a_library_that_opens_the_name_again_fails(twins: RootedPath) -> None:
    """granulate_utils' get_elf_id() hashes the file that has the stream's name."""

    def digest(stream: io.BufferedReader) -> str:
        with open(stream.name, "rb") as again:
            return hashlib.file_digest(again, "sha1").hexdigest()

    with twins.open("rb") as file, pytest.raises(TypeError):
        digest(file)


# xml.sax leaves the entity's file to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_xml_parser_does_not_take_the_host_for_the_base(twins: RootedPath) -> None:
    document = '<!DOCTYPE a [<!ENTITY part SYSTEM "part">]><a>&part;</a>'
    twins.write_text(document)

    def parse(stream: object) -> str:
        words = []
        handler = xml.sax.handler.ContentHandler()
        handler.characters = words.append  # type: ignore[method-assign]
        parser = xml.sax.make_parser()
        parser.setFeature(xml.sax.handler.feature_external_ges, True)
        parser.setContentHandler(handler)
        parser.parse(stream)
        return "".join(words)

    with open(str(twins), "w") as on_the_host:
        on_the_host.write(document)
    with open(str(twins), "rb") as on_the_host:
        assert parse(on_the_host) == "HOST"
    with twins.open("rb") as file, pytest.raises((TypeError, ValueError)):
        parse(file)


def test_archives_go_on_working(twins: RootedPath) -> None:
    packed = twins.with_name("f.tar.gz")
    with packed.open("wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        with twins.open("rb") as member:
            tar.addfile(tar.gettarinfo(arcname="f", fileobj=member), member)
            with pytest.raises((TypeError, AttributeError)):
                tar.gettarinfo(fileobj=member)
    with packed.open("rb") as file, tarfile.open(fileobj=file) as tar:
        extracted = tar.extractfile("f")
        assert extracted is not None
        assert extracted.read() == b"inside"
    with packed.open("rb") as file, gzip.GzipFile(fileobj=file) as unpacked:
        assert b"inside" in unpacked.read()
    with twins.with_name("f.zip").open("w+b") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("member", "content")
        assert archive.read("member") == b"content"
    with twins.with_name("f.wav").open("w+b") as file, wave.open(file, "wb") as sound:
        sound.setparams((1, 1, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0" * 8)


def test_a_log_handler_has_a_stream_in_the_root(twins: RootedPath) -> None:
    with twins.open("a") as stream:
        handler = logging.StreamHandler(stream)
        handler.emit(logging.makeLogRecord({"msg": "logged"}))
        assert str(twins) in repr(handler)
    assert twins.read_text() == "insidelogged\n"
