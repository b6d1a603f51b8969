"""Programs written for pathlib, run once with pathlib and once with paths in a root.

A program is a function of the class ``Path`` that prints. With ``pathlib.Path`` it runs in a child
that is chrooted into a tree, with paths in a root outside of it; what it prints must be
the same to the byte.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import pathlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from helpers.support import chrooted, run_in_child
from procpath import Root, RootedPath

Program: TypeAlias = "Callable[[type[Any]], None]"

_PASSWD = """\
root:x:0:0:root:/root:/bin/sh
guest:x:1000:1000:guest:/home/guest:/bin/sh
slashed:x:1001:1001:ends in a slash:/home/slashed/:/bin/sh
homeless:x:1002:1002:has an empty field::/bin/sh
"""

ENCODINGS = ("utf-8", "latin-1", "ascii", "utf-16", "utf-8-sig", "cp1252")


def attempt(label: object, call: Callable[..., object], *args: Any, **kwargs: Any) -> None:
    """Print what ``call`` returns (all of an iterator), or the error that it raises."""
    try:
        answer = shown(call(*args, **kwargs))
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        answer = f"{type(error).__name__} {name} {error.filename!s} {error.filename2!s}"
    except Exception as error:
        answer = type(error).__name__
    print(f"{label!a} {shown(args)} {kwargs!a}: {answer}")


def shown(answer: object) -> str:
    """``repr()``, in which a path is the text of it."""
    if isinstance(answer, (RootedPath, pathlib.Path)):
        return f"Path({str(answer)!a})"
    if isinstance(answer, (list, tuple, Iterator)):
        return f"[{', '.join(map(shown, answer))}]"
    return ascii(answer)


def by_pathlib(program: Program, tree: pathlib.Path, uid: int = 0) -> list[str]:
    """What ``program`` prints in ``tree`` as the root of a process."""
    for name in ENCODINGS:
        # Codecs are modules, found when they are first asked for, and not in the chroot.
        codecs.lookup(name)
    return chrooted(tree, _output, program, pathlib.Path, uid)


def through_a_root(program: Program, tree: pathlib.Path, uid: int = 0, **options: Any) -> list[str]:
    """What ``program`` prints with paths in ``tree``, in a process that has another root.

    As pathlib, the root opens special files.
    """
    with Root.at(tree, **{"special_files": "allow", **options}) as root:
        return run_in_child(_output, program, RootedPath.bind(root), uid)


def _output(program: Program, cls: type[Any], uid: int) -> list[str]:
    os.environ["HOME"] = "/root"
    os.umask(0o022)
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        program(cls)
    return printed.getvalue().splitlines()


def grow(tree: pathlib.Path) -> None:
    """Files of every kind, links of every shape, and names that are hard to handle."""
    tree.chmod(0o755)
    for name in (
        *(
            "a/b/c/d",
            "a/.hidden/x",
            "rounds",
            "B",
            "empty",
            "closed/in",
            "etc",
            "dev",
            "home/guest",
        ),
        *("wide/é", "wide/x y", "deep/" + "/".join("dddddd")),
    ):
        (tree / name).mkdir(parents=True)
    for name in (
        *("file", "a/one.txt", "a/two.TXT", "a/b/one.txt", "a/b/three.py", "a/b/c/d/one.txt"),
        *(
            "rounds/x",
            "a/.dot.txt",
            ".dotfile",
            "B/one.txt",
            "wide/é/one.txt",
            "wide/x y/[a]",
            "wide/*",
        ),
        *(
            "wide/a\nb",
            "wide/\udcff",
            "closed/in/secret",
            "a/b/b",
            "a/no-suffix.",
            "a/.hidden/h.txt",
        ),
    ):
        (tree / name).write_text(f"this is {name!a}\n")
    for name, target in {
        "link": "file",
        "alink": "a",
        "absolute": "/a/b",
        "a/up": "..",
        "rounds/loop": ".",
        "dangling": "nowhere/at/all",
        "circle": "elcric",
        "elcric": "circle",
        "itself": "itself",
        "climb": "../../../../a/b/one.txt",
        "B/across": "../a/b",
        "wide/dangling.txt": "gone.txt",
        "long": "n" * 300,
        "under-file": "file/x",
        "under-link": "link/x",
        "slashed": "file/",
    }.items():
        (tree / name).symlink_to(target)
    # Against the kernel 20 links at most are sure to be followed: it counts again when it has to
    # repeat a lookup that it began in RCU mode.
    (tree / "links").mkdir()
    (tree / "links/0").symlink_to("../file")
    for number in range(1, 45):
        (tree / f"links/{number}").symlink_to(f"{number - 1}")
    for name, data in {
        "newlines": b"unix\nmac\rdos\r\nempty\n\rlast",
        "bom": b"\xef\xbb\xbfwith a mark\n",
        "latin": b"caf\xe9\n",
        "wide16": "é\n".encode("utf-16"),
        "nothing": b"",
    }.items():
        (tree / name).write_bytes(data)
    (tree / "etc/passwd").write_text(_PASSWD)
    (tree / "etc/group").write_text("root:x:0:\nguest:x:1000:\n")
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(tree / "socket"))
    os.mknod(tree / "dev/null", 0o020666, os.makedev(1, 3))
    os.mknod(tree / "dev/disk", 0o060600, os.makedev(7, 200))
    (tree / "closed").chmod(0)
    os.chown(tree / "file", 1000, 1000)
