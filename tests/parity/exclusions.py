"""CPython's tests of pathlib that cannot apply to paths in a root, each with its reason.

RootedPath does what pathlib of 3.14 does, and takes mkdir(parent_mode) of 3.15; so the tests of
older interpreters that ask for what has changed since cannot apply. The tests hold this list
against the interpreter: nothing on it is missing there, and nothing on it passes.
"""

from __future__ import annotations

import sys

# What 3.14's pathlib itself answers otherwise; its answers are in test_lexical.py.
CHANGED = "asks for what pathlib did before 3.14"
ABSTRACT = "abstract paths of 3.13 keep what pathlib normalizes: `.` as a name, empty patterns"

# What a path in a root is not.
FSPATH = "a path in a root has no __fspath__"
URI = "a URI cannot tell the root"
REPR = "repr() shows the root too"
RELATIVE = "relative paths count from /, not from a working directory"
HOME = "the root's accounts say where home is, not our own environment"
SAME_WORDS = "wants the words of pathlib's error; ours name what a segment may be here"

LOOPS = "wants paths through a link to a directory above, where ours end"

# How a test goes about it.
PRIVATE = "calls or counts private members of pathlib's own classes"
MOCKED = "replaces a function of `os` or `posixpath` that pathlib calls; ours calls it with a dirfd"
PICKLED_IN_CHROOT = "unpickling opens the root again by its host path, which is out of reach here"

# Not for this system.
WINDOWS = "tests a Windows path class"
LACKING = "tests what pathlib does on systems that lack what Linux has"
MACOS = "tests a bug of macOS"
UNPRIVILEGED = "needs a process without root's rights"
OPTED_IN = "needs an interpreter started with -X warn_default_encoding"

_URIS = ["as_uri_common", "as_uri_non_ascii"]
_FROM_URIS = ["from_uri_pathname2url_posix", "from_uri_posix"]
_SUFFIXES = ["stem_common", "suffix_common", "suffixes_common", "with_stem_common"]
_CHAINS = [
    "complex_symlinks_absolute",
    "complex_symlinks_relative",
    "complex_symlinks_relative_dot_dot",
]

_WINDOWS_OF_314 = [
    "absolute_windows",
    "as_uri_windows",
    "constructor_nested_foreign_flavour",
    "delete_inner_junction",
    "delete_outer_junction",
    "drive_windows",
    "eq_windows",
    "equivalences_windows",
    "expanduser_windows",
    "from_uri_pathname2url_windows",
    "from_uri_windows",
    "glob_windows",
    "group_windows",
    "is_absolute_windows",
    "is_relative_to_windows",
    "match_windows",
    "mkdir_with_unknown_drive",
    "ordering_windows",
    "owner_windows",
    "parse_path_windows",
    "relative_to_windows",
    "rglob_windows",
    "root_windows",
    "str_subclass_windows",
    "str_windows",
    "with_name_windows",
    "with_stem_windows",
]

_WINDOWS_OF_313 = [
    "absolute_windows",
    "anchor_windows",
    "as_uri_windows",
    "div_windows",
    "drive_windows",
    "eq_windows",
    "equivalences_windows",
    "expanduser_windows",
    "from_uri_pathname2url_windows",
    "from_uri_windows",
    "glob_windows",
    "group_windows",
    "is_absolute_windows",
    "is_relative_to_windows",
    "join_windows",
    "match_windows",
    "mkdir_with_unknown_drive",
    "name_windows",
    "ordering_windows",
    "owner_windows",
    "parent_windows",
    "parents_windows",
    "parse_path_windows",
    "parts_windows",
    "relative_to_windows",
    "rglob_windows",
    "root_windows",
    "stem_windows",
    "str_subclass_windows",
    "str_windows",
    "suffix_windows",
    "suffixes_windows",
    "with_name_windows",
    "with_stem_windows",
    "with_suffix_windows",
]


def _each(names: list[str], reason: str) -> dict[str, str]:
    return {f"test_{name}": reason for name in names}


_OF_311 = {
    **_each([*_URIS, "as_uri"], URI),
    **_each(_SUFFIXES, CHANGED),
    **_each(["relative_to_common", "is_relative_to_common", "with_suffix_common"], CHANGED),
    **_each(["is_reserved", "link_to", "resolve_loop", "with"], CHANGED),
    **_each([*_CHAINS, "absolute_common", "resolve_nonexist_relative_issue38671"], RELATIVE),
    **_each(["home", "expanduser"], HOME),
    "test_fspath_common": FSPATH,
    "test_repr_common": REPR,
    "test_mkdir_concurrent_parent_creation": MOCKED,
    "PosixPathTest.test_pickling_common": PICKLED_IN_CHROOT,
    "test_link_to_not_implemented": LACKING,
    "test_handling_bad_descriptor": MACOS,
    "test_mkdir_with_unknown_drive": WINDOWS,
}

_OF_312 = {
    **_each([*_URIS, "as_uri"], URI),
    **_each(_SUFFIXES, CHANGED),
    **_each(["relative_to_common", "is_relative_to_common", "with_suffix_common"], CHANGED),
    **_each(["is_reserved", "match_common", "passing_kwargs_deprecated"], CHANGED),
    **_each(["resolve_loop", "rglob_common", "with"], CHANGED),
    **_each([*_CHAINS, "absolute_common", "resolve_nonexist_relative_issue38671"], RELATIVE),
    **_each(["home", "expanduser"], HOME),
    **_each(["repr_common", "repr_roundtrips"], REPR),
    **_each(["mkdir_concurrent_parent_creation", "is_junction"], MOCKED),
    "test_bytes": SAME_WORDS,
    "test_fspath_common": FSPATH,
    "PosixPathTest.test_pickling_common": PICKLED_IN_CHROOT,
    "test_link_to_not_implemented": LACKING,
    "test_handling_bad_descriptor": MACOS,
    "test_mkdir_with_unknown_drive": WINDOWS,
}

_OF_313 = {
    "DummyPurePathTest.test_name_empty": ABSTRACT,
    "DummyPurePathTest.test_stem_empty": ABSTRACT,
    "DummyPurePathTest.test_with_name_empty": ABSTRACT,
    "DummyPurePathTest.test_with_stem_empty": ABSTRACT,
    "DummyPathWithSymlinksTest.test_glob_empty_pattern": ABSTRACT,
    "DummyPathWithSymlinksTest.test_name_empty": ABSTRACT,
    "DummyPathWithSymlinksTest.test_stem_empty": ABSTRACT,
    "DummyPathWithSymlinksTest.test_with_name_empty": ABSTRACT,
    "DummyPathWithSymlinksTest.test_with_stem_empty": ABSTRACT,
    **_each([*_URIS, *_FROM_URIS, "as_uri_posix"], URI),
    **_each([*_SUFFIXES, "with_suffix_invalid"], CHANGED),
    **_each(["relative_to_several_args", "is_relative_to_several_args"], CHANGED),
    "test_passing_kwargs_deprecated": CHANGED,
    **_each([*_CHAINS, "absolute_common", "glob_dot"], RELATIVE),
    "test_resolve_nonexist_relative_issue38671": RELATIVE,
    **_each(["home", "expanduser_posix"], HOME),
    **_each(["repr_common", "repr_roundtrips"], REPR),
    **_each(["glob_recurse_symlinks_common", "rglob_recurse_symlinks_common"], LOOPS),
    **_each(["parse_path_common", "parse_path_posix", "matches_pathbase_api"], PRIVATE),
    **_each(["mkdir_concurrent_parent_creation", "is_junction"], MOCKED),
    "test_bytes_exc_message": SAME_WORDS,
    "test_fspath_common": FSPATH,
    "PosixPathTest.test_pickling_common": PICKLED_IN_CHROOT,
    **_each(["hardlink_to_unsupported", "readlink_unsupported"], LACKING),
    **_each(["symlink_to_unsupported", "unsupported_parser"], LACKING),
    "test_handling_bad_descriptor": MACOS,
    **_each(_WINDOWS_OF_313, WINDOWS),
}

_OF_314 = {
    **_each([*_URIS, *_FROM_URIS, "as_uri_posix"], URI),
    **_each([*_CHAINS, "absolute_common", "glob_dot"], RELATIVE),
    "test_resolve_nonexist_relative_issue38671": RELATIVE,
    **_each(["home", "expanduser_posix"], HOME),
    **_each(["repr_common", "repr_roundtrips"], REPR),
    **_each(["glob_recurse_symlinks_common", "rglob_recurse_symlinks_common"], LOOPS),
    **_each(["parse_path_common", "parse_path_posix", "matches_writablepath_docstrings"], PRIVATE),
    **_each(["delete_dir", "delete_does_not_choke_on_failing_lstat", "delete_file"], PRIVATE),
    **_each(["delete_inner_symlink", "delete_missing", "delete_on_named_pipe"], PRIVATE),
    **_each(["delete_symlink"], PRIVATE),
    **_each(["mkdir_concurrent_parent_creation", "is_junction_true"], MOCKED),
    "test_bytes_exc_message": SAME_WORDS,
    "test_fspath_common": FSPATH,
    "PosixPathTest.test_pickling_common": PICKLED_IN_CHROOT,
    **_each(["hardlink_to_unsupported", "readlink_unsupported"], LACKING),
    **_each(["symlink_to_unsupported", "unsupported_parser"], LACKING),
    "test_handling_bad_descriptor": MACOS,
    **_each(["copy_dir_no_read_permission", "delete_unwritable"], UNPRIVILEGED),
    **_each(["open_r_encoding_warning", "read_text_encoding_warning"], OPTED_IN),
    **_each(["open_w_encoding_warning", "write_text_encoding_warning"], OPTED_IN),
    **_each(_WINDOWS_OF_314, WINDOWS),
}

EXCLUDED = {11: _OF_311, 12: _OF_312, 13: _OF_313}.get(sys.version_info[1], _OF_314)
"""Reasons by name: ``test``, in whichever suites have it, or ``Suite.test``."""


def reason_against(suite: str, test: str) -> str | None:
    """Why this test is not run, or None: it is."""
    return EXCLUDED.get(f"{suite}.{test}") or EXCLUDED.get(test)
