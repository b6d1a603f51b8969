"""What is made when the package is built: its description, completion for shells, a man page.

Completion and man page are made from the parser of the command, so that they say what it does.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.utils import get_reproducible_timestamp
from hatchling.metadata.plugin.interface import MetadataHookInterface

_COMPLETIONS = {
    "bash": "share/bash-completion/completions/procpath",
    "zsh": "share/zsh/site-functions/_procpath",
    "fish": "share/fish/vendor_completions.d/procpath.fish",
}
_MAN_PAGE = "share/man/man1/procpath.1"

_LINK = re.compile(r"\[([^]]+)\]\((?!\w+://)([^)]+)\)")


class Description(MetadataHookInterface):
    """Give the README as the description, which is read where the files of the project are not."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Lead relative links to ``project.urls.Source``, or name the file where there is none."""
        source = metadata.get("urls", {}).get("Source")

        def link(match: re.Match[str]) -> str:
            label, target = match.groups()
            if source:
                return f"[{label}]({source}/{target})"
            return label if label == target else f"{label} (`{target}`)"

        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": _LINK.sub(link, text)}


class CommandLineFiles(BuildHookInterface[Any]):
    """Add the files to a wheel, where pip and others put them below the prefix."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the files in a temporary directory."""
        sys.path.insert(0, os.path.join(self.root, "src"))
        try:
            from procpath.cli import whole_parser

            parser = whole_parser()
        except ImportError as error:
            # procpath needs Linux; elsewhere the package can be built and has no command.
            self.app.display_warning(f"no completion and no man page: {error}")
            return
        finally:
            sys.path.pop(0)
        import shtab
        from argparse_manpage.manpage import Manpage

        _complete_files(parser, shtab.FILE)
        self._directory = Path(tempfile.mkdtemp(prefix="procpath-build-"))
        os.environ["COLUMNS"] = "80"
        files = {place: shtab.complete(parser, shell) for shell, place in _COMPLETIONS.items()}
        # Options such as -name, which shtab takes for single letters.
        fish = _COMPLETIONS["fish"]
        files[fish] = re.sub(r" -s (?=\w\w)", " -o ", files[fish])
        page = Manpage(parser)
        page.date = time.strftime("%Y-%m-%d", time.gmtime(get_reproducible_timestamp()))
        page.source = f"rootedpath {self.metadata.version}"
        page.manual = "User Commands"
        page.description = "look at the files of another process, inside its root"
        files[_MAN_PAGE] = str(page)
        for place, text in files.items():
            file = self._directory / place
            file.parent.mkdir(parents=True)
            file.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(file)] = place

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary directory."""
        if hasattr(self, "_directory"):
            shutil.rmtree(self._directory)


def _complete_files(parser: argparse.ArgumentParser, files: object) -> None:
    """Complete arguments as files of the host. With nothing to complete, zsh inserts no option."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _complete_files(command, files)
        elif not action.option_strings:
            action.complete = files  # type: ignore[attr-defined]  # shtab looks for it
