"""What a library does with the name of a file that it is given stays in the root."""

from __future__ import annotations

import gzip
import hashlib
import io
import logging
import tarfile
import wave
import xml.sax
import xml.sax.handler
import zipfile
from typing import IO, Any

import pytest

from helpers.twins import Twins

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
def test_the_name_of_a_file_is_its_path(how: str, twins: Twins) -> None:
    mode, buffering = OPENINGS[how]
    path = twins.inside / "f"
    opened: IO[Any] = path.open(mode, buffering)
    with opened as file:
        assert file.name is path  # type: ignore[comparison-overlap]
        assert repr(path) in repr(file)


def test_a_library_that_opens_the_name_again_fails(twins: Twins) -> None:
    """granulate_utils' get_elf_id() hashes the file that has the stream's name."""

    def digest(stream: io.BufferedReader) -> str:
        with open(stream.name, "rb") as again:
            return hashlib.file_digest(again, "sha1").hexdigest()

    with (twins.inside / "f").open("rb") as file, pytest.raises(TypeError):
        digest(file)


# xml.sax leaves the entity's file to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_xml_parser_does_not_take_the_host_for_the_base(twins: Twins) -> None:
    document = '<!DOCTYPE a [<!ENTITY part SYSTEM "part">]><a>&part;</a>'
    for directory in twins:
        (directory / "part").write_text((directory / "f").read_text())
        (directory / "document").write_text(document)

    def parse(stream: object) -> str:
        words = []
        handler = xml.sax.handler.ContentHandler()
        handler.characters = words.append  # type: ignore[method-assign]
        parser = xml.sax.make_parser()
        parser.setFeature(xml.sax.handler.feature_external_ges, True)
        parser.setContentHandler(handler)
        parser.parse(stream)
        return "".join(words)

    with (twins.host / "document").open("rb") as file:
        assert parse(file) == "HOST"
    with (twins.inside / "document").open("rb") as file, pytest.raises((TypeError, ValueError)):
        parse(file)


def test_archives_go_on_working(twins: Twins) -> None:
    packed = twins.inside / "f.tar.gz"
    with packed.open("wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        with (twins.inside / "f").open("rb") as member:
            tar.addfile(tar.gettarinfo(arcname="f", fileobj=member), member)
            with pytest.raises((TypeError, AttributeError)):
                tar.gettarinfo(fileobj=member)
    with packed.open("rb") as file, tarfile.open(fileobj=file) as tar:
        extracted = tar.extractfile("f")
        assert extracted is not None
        assert extracted.read() == b"inside"
    with packed.open("rb") as file, gzip.GzipFile(fileobj=file) as unpacked:
        assert b"inside" in unpacked.read()
    with (twins.inside / "f.zip").open("w+b") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("member", "content")
        assert archive.read("member") == b"content"
    with (twins.inside / "f.wav").open("w+b") as file, wave.open(file, "wb") as sound:
        sound.setparams((1, 1, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0" * 8)


def test_a_log_handler_has_a_stream_in_the_root(twins: Twins) -> None:
    with (twins.inside / "f").open("a") as stream:
        handler = logging.StreamHandler(stream)
        handler.emit(logging.makeLogRecord({"msg": "logged"}))
        assert str(twins.inside / "f") in repr(handler)
    assert (twins.inside / "f").read_text() == "insidelogged\n"
    assert (twins.host / "f").read_text() == "HOST"
