"""The command line: ``ls``, ``stat``, ``tree``, ``find``, ``resolve``, and their JSON."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import tempfile
import time
import tracemalloc
from pathlib import Path

import pytest

from helpers.commandline import HOSTILE, Ran, as_nobody, here, printed, procpath, shown
from helpers.containers import RuncContainer
from helpers.support import private_mounts
from procpath import Root, linux

# ls


def test_ls_sorts_and_hides_dot_names(tree: Path) -> None:
    assert printed("ls", f"{tree}:/srv") == ["dangling", "fifo", "loop"]
    assert printed("ls", "-a", f"{tree}:/srv") == [
        ".hidden",
        ".secret",
        "dangling",
        "fifo",
        "loop",
    ]


def test_ls_follows_links_to_directories_only(tree: Path) -> None:
    assert printed("ls", f"{tree}:/var/run") == ["x"]
    for path in ("/run/x", "/srv/dangling", "/srv/loop", "/srv/fifo"):
        assert printed("ls", f"{tree}:{path}") == [os.path.basename(path)]
    ran = here("ls", f"{tree}:/srv/nothing")
    assert ran == (1, b"", f"procpath: {tree}:/srv/nothing: No such file or directory\n")


def test_ls_of_an_empty_directory_prints_nothing(tree: Path) -> None:
    for option in ("-a", "-l"):
        assert here("ls", option, f"{tree}:/srv/.hidden") == (0, b"", "")
    assert shown("ls", f"{tree}:/srv/.hidden") == ""


def test_ls_of_several_has_a_heading_for_each(tree: Path) -> None:
    assert printed("ls", f"{tree}:/run", f"{tree}:/srv/.hidden", f"{tree}:/var") == [
        f"{tree}:/run:",
        "x",
        "",
        f"{tree}:/srv/.hidden:",
        "",
        f"{tree}:/var:",
        "run",
    ]


def test_ls_long_shows_everything_in_columns(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    when = 1_700_000_000
    for path in ("srv/.hidden", "srv/dangling", "srv/fifo", "srv/loop", "srv/.secret"):
        os.utime(tree / path, (when, when), follow_symlinks=False)
    os.chown(tree / "srv/fifo", 54321, 1234)
    (tree / "srv/.secret").write_bytes(bytes(123456))
    os.utime(tree / "srv/.secret", (when, when))
    os.mknod(tree / "srv/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    os.utime(tree / "srv/null", (when, when))
    size = (tree / "srv/.hidden").stat().st_size
    assert printed("ls", "-la", f"{tree}:/srv") == [
        f"drwxr-xr-x  2  root   root    {size:>6}  2023-11-14 22:13  .hidden",
        "-rw-r--r--  1  root   root    123456  2023-11-14 22:13  .secret",
        "lrwxrwxrwx  1  root   root        17  2023-11-14 22:13  dangling -> /nowhere//at/all/",
        "prw-r--r--  1  54321  alices       0  2023-11-14 22:13  fifo",
        "lrwxrwxrwx  1  root   root         4  2023-11-14 22:13  loop -> loop",
        "crw-------  1  root   root       1:3  2023-11-14 22:13  null",
    ]


def test_ls_names_owners_as_the_container_does(mapped_container: RuncContainer) -> None:
    lines = printed("ls", "-l", f"{mapped_container.pid}:/run/app", f"{mapped_container.pid}:/home")
    owners = [line.split()[2:4] for line in lines if line.startswith(("-", "d"))]
    assert owners == [["cellarer", "cellar"], ["alice-within", "alices"]]


def test_ls_shows_ids_if_accounts_are_unreadable(tree: Path) -> None:
    (tree / "etc/passwd").unlink()
    os.mkfifo(tree / "etc/passwd")
    (tree / "etc/group").unlink()
    (tree / "etc/group").symlink_to("group")
    [line] = printed("ls", "-l", f"{tree}:/run")
    assert line.split()[2:4] == ["1234", "1234"]


def test_ls_shows_a_time_that_no_calendar_has() -> None:
    def list_it() -> Ran:
        linux.mount(b"tmpfs", b"/mnt", b"tmpfs")
        with open("/mnt/x", "w"):
            pass
        # tmpfs keeps any 64-bit time.
        os.utime("/mnt/x", (1 << 60, 1 << 60))
        return here("ls", "-l", "/mnt:/")

    ran = private_mounts(list_it)
    assert (ran.status, ran.err) == (0, "")
    assert f"@{1 << 60}" in ran.lines[0].split()


def test_names_go_into_a_pipe_byte_by_byte(hostile: Path) -> None:
    raw = os.fsencode(HOSTILE)
    assert here("ls", f"{hostile}:/d").out == raw + b"\n"
    assert here("find", f"{hostile}:/d", "-type", "f").out == b"/d/" + raw + b"\n"
    assert here("find", f"{hostile}:/d", "-type", "f", "-print0").out == b"/d/" + raw + b"\0"
    assert here("resolve", f"{hostile}:/link").out == b"/d/" + raw + b"\n"


def test_ls_ignores_overlong_account_names(tree: Path) -> None:
    (tree / "etc/passwd").write_text(f"{'a' * 300}:x:1234:\n")
    (tree / "etc/group").write_text(f"{'g' * 255}:x:1234:\n")
    [line] = printed("ls", "-l", f"{tree}:/run")
    assert line.split()[2:4] == ["1234", "g" * 255]
    [record] = json.loads(here("ls", "--json", f"{tree}:/run").out)
    assert (record["owner"], record["uid"]) == (None, 1234)


def test_ls_sorts_by_time_or_size(tree: Path) -> None:
    for number, name in enumerate(("a.conf", "b.conf", "c.conf")):
        (tree / "etc/app.d" / name).write_bytes(bytes(10 - number))
        os.utime(tree / "etc/app.d" / name, (number, number))
    (tree / "etc/app.d/link.conf").unlink()
    by_time, by_size = ["c.conf", "b.conf", "a.conf"], ["a.conf", "b.conf", "c.conf"]
    assert printed("ls", "-t", f"{tree}:/etc/app.d") == by_time
    assert printed("ls", "-S", f"{tree}:/etc/app.d") == by_size
    listed = json.loads(here("ls", "-t", "--json", f"{tree}:/etc/app.d").out)
    assert [record["name"] for record in listed] == by_time
    assert [line.split()[-1] for line in printed("ls", "-lS", f"{tree}:/etc/app.d")] == by_size
    assert here("ls", "-tS", f"{tree}:/").status == 2


def test_ls_shows_directories_themselves(tree: Path) -> None:
    assert printed("ls", "-d", f"{tree}:/etc") == ["etc"]
    assert printed("ls", "-d", f"{tree}:/") == ["/"]
    [line] = printed("ls", "-ld", f"{tree}:/var/run")
    assert line.startswith("l")
    assert line.endswith("run -> /run")


def test_ls_goes_down_through_no_link(tree: Path) -> None:
    assert printed("ls", "-R", f"{tree}:/etc") == [
        *(f"{tree}:/etc:", "app.d", "group", "passwd", ""),
        *(f"{tree}:/etc/app.d:", "a.conf", "b.conf", "link.conf"),
    ]
    assert f"{tree}:/srv/.hidden:" in printed("ls", "-aR", f"{tree}:/")
    assert f"{tree}:/var/run:" not in printed("ls", "-R", f"{tree}:/var")
    assert printed("ls", "-R", f"{tree}:/var/run") == [f"{tree}:/var/run:", "x"]
    records = json.loads(here("ls", "-R", "--json", f"{tree}:/etc").out)
    assert [record["path"] for record in records] == [
        *("/etc/app.d", "/etc/group", "/etc/passwd", "/etc/app.d/a.conf", "/etc/app.d/b.conf"),
        "/etc/app.d/link.conf",
    ]


def test_ls_prints_sizes_as_ls_does(tmp_path: Path) -> None:
    sizes = [0, 1, 1023, 1024, 1025, 1126, 10239, 10240, 10241, 1 << 20, (1 << 20) - 1]
    sizes += [1047553, 999 << 20, 1 << 30, (1 << 40) - 1, 3 << 39]
    for number, size in enumerate(sizes):
        with open(tmp_path / f"{number:02}", "wb") as file:
            file.truncate(size)
    expected = subprocess.check_output(["ls", "-lh", tmp_path], text=True, env={"LC_ALL": "C"})
    ours = [line.split()[4] for line in printed("ls", "-lh", f"{tmp_path}:/")]
    assert ours == [line.split()[4] for line in expected.splitlines()[1:]]


def test_ls_has_one_name_on_a_line_of_a_terminal(tree: Path) -> None:
    assert shown("ls", "-1", f"{tree}:/srv", TERM="dumb") == "dangling\nfifo\nloop\n"


@pytest.mark.parametrize(("option", "most"), [("-a", 250), ("-l", 700), ("--json", 1000)])
def test_ls_keeps_little_of_each_entry(tmp_path: Path, option: str, most: int) -> None:
    count = 2000
    for number in range(count):
        (tmp_path / f"some-{number}").touch()
    here("ls", option, f"{tmp_path}:/")  # what is imported and cached counts no more
    tracemalloc.start()
    try:
        # The output is in memory too.
        size = len(here("ls", option, f"{tmp_path}:/").out)
        assert tracemalloc.get_traced_memory()[1] < count * most + 2 * size
    finally:
        tracemalloc.stop()


def test_link_without_a_text_is_listed(container: RuncContainer) -> None:
    # We are not in its PID namespace, in which `self` is a process.
    ran = here("ls", "-l", f"{container.pid}:/proc")
    assert (ran.status, ran.err) == (0, "")
    assert [line.split()[7:] for line in ran.lines if line.endswith("self")] == [
        ["self"],
        ["thread-self"],
    ]
    drawn = here("tree", "-L", "1", f"{container.pid}:/proc")
    assert (drawn.status, drawn.err) == (0, "")
    assert "├── self" in drawn.lines


def test_unreadable_link_is_reported_and_listed() -> None:
    for command in (["ls", "-l"], ["tree", "-L", "1"], ["find", "--json", "-maxdepth", "1"]):
        ran = as_nobody(here, *command, "/proc:/1")
        assert ran.status == 1
        assert "procpath: /proc:/1/exe: Permission denied" in ran.err.splitlines()
        assert any("exe" in line for line in ran.lines)


# stat


def test_stat_shows_a_link_or_its_target(tree: Path) -> None:
    link = dict(line.split(maxsplit=1) for line in printed("stat", f"{tree}:/var/run"))
    assert link["address"] == f"{tree}:/var/run"
    assert link["type"] == "symlink -> /run"
    end = dict(line.split(maxsplit=1) for line in printed("stat", "-L", f"{tree}:/var/run/x"))
    assert end["address"] == f"{tree}:/run/x"
    assert end["type"] == "file"
    assert end["mode"] == "-rwsr-x--- 4750"
    assert end["owner"] == "alice (1234)"
    assert end["group"] == "alices (1234)"
    assert end["size"].startswith("7, ")


def test_stat_shows_mount_points_and_both_owners(mapped_container: RuncContainer) -> None:
    pid, offset = mapped_container.pid, mapped_container.host_id_of_root
    [run] = json.loads(here("stat", "--json", f"{pid}:/run").out)
    assert run["mount_point"] is True
    [stock] = json.loads(here("stat", "--json", f"{pid}:/var/lib/cellar/stock").out)
    assert stock["mount_point"] is False
    assert (stock["owner"], stock["uid"], stock["host_uid"]) == ("cellarer", 101, offset + 101)
    assert (stock["group"], stock["gid"], stock["host_gid"]) == ("cellar", 201, offset + 201)
    text = printed("stat", f"{pid}:/var/lib/cellar/stock")
    assert f"owner        cellarer (101; {offset + 101} outside its user namespace)" in text


def test_stat_shows_a_device(tree: Path) -> None:
    os.mknod(tree / "srv/null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    assert "type         character device 1:3" in printed("stat", f"{tree}:/srv/null")
    [record] = json.loads(here("stat", "--json", f"{tree}:/srv/null").out)
    assert (record["type"], record["device"]) == ("character device", "1:3")


# tree


def test_tree_draws_what_is_there(tree: Path) -> None:
    assert printed("tree", f"{tree}:/") == [
        "/",
        "├── etc",
        "│   ├── app.d",
        "│   │   ├── a.conf",
        "│   │   ├── b.conf",
        "│   │   └── link.conf -> /etc/app.d/a.conf",
        "│   ├── group",
        "│   └── passwd",
        "├── run",
        "│   └── x",
        "├── srv",
        "│   ├── dangling -> /nowhere//at/all/",
        "│   ├── fifo",
        "│   └── loop -> loop",
        "└── var",
        "    └── run -> /run",
        "",
        "5 directories, 10 files",
    ]


def test_tree_options_set_depth_and_hidden_names(tree: Path) -> None:
    assert printed("tree", "-L", "1", f"{tree}:/")[1:] == [
        "├── etc",
        "├── run",
        "├── srv",
        "└── var",
        "",
        "4 directories, 0 files",
    ]
    assert printed("tree", "-a", "-L", "1", f"{tree}:/srv")[1:3] == ["├── .hidden", "├── .secret"]


def test_tree_follows_a_link_at_the_start_alone(tree: Path) -> None:
    assert printed("tree", f"{tree}:/var/run") == ["/var/run", "└── x", "", "0 directories, 1 file"]


def test_tree_draws_in_ascii_in_the_c_locale(tree: Path) -> None:
    (tree / "var/café").mkdir()
    ran = procpath("tree", f"{tree}:/var", LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert (ran.status, ran.err) == (0, "")
    assert ran.lines[1:3] == ["|-- café", "`-- run -> /run"]


def test_tree_and_find_go_down_a_very_deep_tree() -> None:
    depth = 2500

    def draw() -> tuple[Ran, int, Ran]:
        # A mount of its own goes away with the child, however deep what is in it.
        linux.mount(b"tmpfs", b"/mnt", b"tmpfs")
        os.chdir("/mnt")
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        os.chdir("/")
        tracemalloc.start()
        drawn = here("tree", "/mnt:/")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return drawn, peak, here("find", "/mnt:/")

    drawn, peak, found = private_mounts(draw)
    # The output is in memory, and nothing else that grows by the square of the depth.
    assert peak < 1.5 * len(drawn.out)
    assert (drawn.status, drawn.lines[-1]) == (0, f"{depth} directories, 0 files")
    assert (found.status, found.lines[-1]) == (0, "/d" * depth)


def test_unreadable_directory_does_not_stop_a_walk() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        for directory in ("a/below", "b", "c/below"):
            (root / directory).mkdir(parents=True)
        (root / "b").chmod(0o700)
        complaint = f"procpath: {root}:/b: Permission denied\n"
        assert as_nobody(here, "tree", f"{root}:/") == (
            1,
            "/\n├── a\n│   └── below\n├── b\n└── c\n    └── below\n\n"
            "5 directories, 0 files\n".encode(),
            complaint,
        )
        found = as_nobody(here, "find", f"{root}:/")
        assert (found.status, found.err) == (1, complaint)
        assert set(found.lines) == {"/", "/a", "/a/below", "/b", "/c", "/c/below"}
        assert as_nobody(here, "ls", f"{root}:/b") == (1, b"", complaint)


# find


def test_find_finds_what_find_finds(tree: Path) -> None:
    (tree / "etc/app.d/a.conf").write_bytes(bytes(1025))
    two_days_ago = time.time() - 2.5 * 24 * 60 * 60
    os.utime(tree / "run/x", (two_days_ago, two_days_ago))
    for options in (
        [],
        ["-name", "*.conf"],
        ["-name", "*"],
        ["-name", ".*"],
        ["-name", "[ab].conf"],
        ["-name", "[!a].conf"],
        ["-type", "d"],
        ["-type", "f"],
        ["-type", "l"],
        ["-type", "p,l"],
        ["-maxdepth", "0"],
        ["-maxdepth", "1"],
        ["-maxdepth", "2", "-type", "f"],
        ["-maxdepth", "2", "-name", "*d"],
        ["-iname", "*.CONF"],
        ["-perm", "4750"],
        ["-perm", "-4000"],
        ["-perm", "-u+s"],
        ["-perm", "/u=s,g=s"],
        ["-perm", "/0"],
        ["-perm", "u=rw,go=r"],
        ["-perm", "a=rwx,go-w"],
        ["-size", "1"],
        ["-size", "-1k"],
        ["-size", "+1000c"],
        ["-size", "7c"],
        ["-mtime", "0"],
        ["-mtime", "-1"],
        ["-mtime", "+1"],
        ["-mtime", "2"],
        ["-empty"],
        ["-empty", "-type", "d"],
    ):
        for start in ("/", "/etc", "/srv", "/srv/fifo", "/srv/dangling"):
            # `-H`, because a link at the start is followed.
            under = f".{start}".rstrip("/")
            command = ["find", "-H", under, *options]
            there = subprocess.check_output(command, cwd=tree, text=True).splitlines()
            expected = sorted(line.removeprefix(".") or "/" for line in there)
            if options[:1] == ["-name"] and start == "/":
                # There it is called `.`, here `/`.
                expected = [line for line in expected if line != "/"]
                expected += ["/"] if options[1] == "*" else []
            found = here("find", f"{tree}:{start}", *options)
            assert (found.status, found.err) == (0, "")
            assert sorted(found.lines) == sorted(expected), (start, options)


def test_find_compares_whole_paths_owners_and_times(tree: Path) -> None:
    assert sorted(printed("find", f"{tree}:/", "-path", "/e*/[ab].conf")) == [
        "/etc/app.d/a.conf",
        "/etc/app.d/b.conf",
    ]
    for user in ("alice", "1234"):
        assert printed("find", f"{tree}:/", "-user", user) == ["/run/x"]
    assert printed("find", f"{tree}:/", "-user", "nobody-at-all") == []
    os.utime(tree / "run/x", ns=(2, 2))
    os.utime(tree / "etc/group", ns=(1, 1))
    os.utime(tree / "etc/passwd", ns=(3, 3))
    newer = ["find", f"{tree}:/etc", "-newer", "/var/run/x", "-name", "*s*"]
    assert printed(*newer) == ["/etc/passwd"]
    ran = here("find", f"{tree}:/", "-newer", "/nowhere")
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err == f"procpath: {tree}:/nowhere: No such file or directory\n"


@pytest.mark.parametrize(
    "option",
    [
        *("-perm=8", "-perm=u*s", "-perm=", "-perm=10000", "-size=1x", "-size=", "-size=k"),
        *("-mtime=1k", "-mtime=x", "-mtime=1.5"),
    ],
)
def test_find_refuses_what_it_cannot_read(option: str) -> None:
    ran = here("find", "/:/", option)
    assert (ran.status, ran.out) == (2, b"")
    assert f"find: argument {option.partition('=')[0]}: not a" in ran.err


def test_find_enters_kernel_file_systems_if_asked(
    container: RuncContainer,
) -> None:
    start = f"{container.pid}:/"
    assert "/proc" in printed("find", start, "-name", "proc")
    assert printed("find", start, "-path", "/proc/sys*") == []
    assert "/proc/sys" in printed(
        "find", start, "--special", "-path", "/proc/sys", "-maxdepth", "2"
    )


@pytest.mark.parametrize("command", [("tree",), ("ls", "-R"), ("ls", "-R", "--json")])
def test_tree_and_ls_enter_no_kernel_file_system(
    command: tuple[str, ...], container: RuncContainer
) -> None:
    ran = here(*command, f"{container.pid}:/")
    assert f"procpath: {container.pid}:/proc: on procfs, which is not entered" in ran.err
    assert ran.status == 0
    assert any("proc" in line for line in ran.lines)
    assert not any("mountinfo" in line or "smaps" in line for line in ran.lines)
    inside = here(*command, f"{container.pid}:/proc/1/task")
    assert (inside.status, inside.err) == (0, "")
    assert any("smaps" in line for line in inside.lines)


def test_find_follows_a_link_at_the_start_alone(tree: Path) -> None:
    (tree / "run/self").symlink_to("/run")
    assert sorted(printed("find", f"{tree}:/var/run")) == [
        "/var/run",
        "/var/run/self",
        "/var/run/x",
    ]
    assert printed("find", f"{tree}:/var/run", "-type", "d") == ["/var/run"]


def test_find_names_a_directory_before_what_is_in_it(tree: Path) -> None:
    found = printed("find", f"{tree}:/")
    seen: set[str] = set()
    for path in found:
        assert path == "/" or os.path.dirname(path) in seen
        seen.add(path)


# resolve


def test_resolve_prints_where_it_leads_or_fails(tree: Path) -> None:
    assert printed("resolve", f"{tree}:/var/run/x", f"{tree}:/etc/../var/./run") == [
        "/run/x",
        "/run",
    ]
    ran = here("resolve", f"{tree}:/srv/dangling", f"{tree}:/srv/loop")
    assert (ran.status, ran.out) == (1, b"")
    assert ran.err.splitlines() == [
        f"procpath: {tree}:/srv/dangling: No such file or directory",
        f"procpath: {tree}:/srv/loop: Too many levels of symbolic links",
    ]


def test_trace_shows_every_step_and_the_end(tree: Path) -> None:
    assert printed("resolve", "--trace", f"{tree}:/var/../var/run/x") == [
        "/     start at the root",
        "/     enter var",
        "/var  go up ..",
        "/     enter var",
        "/var  follow run -> /run",
        "/     enter run",
        "/run  found x",
        "/run/x",
    ]


def test_long_directory_does_not_widen_a_trace(tree: Path) -> None:
    name = "d" * 250
    (tree / name).mkdir()
    lines = printed("resolve", "--trace", f"{tree}:/{name}/../etc")
    assert lines[2] == f"/{name}  go up .."
    assert len(lines[0]) < 150


def test_trace_shows_where_a_path_stopped(tree: Path) -> None:
    ran = here("resolve", "--trace", f"{tree}:/srv/dangling")
    assert ran.status == 1
    assert "follow dangling -> /nowhere//at/all/" in ran.lines[-2]
    assert "stopped at nowhere: No such file or directory" in ran.lines[-1]
    assert ran.err == f"procpath: {tree}:/srv/dangling: No such file or directory\n"


# JSON


def test_json_names_give_the_bytes_back(hostile: Path) -> None:
    raw = os.fsencode(HOSTILE)
    for arguments in (["ls", f"{hostile}:/d"], ["find", f"{hostile}:/d", "-type", "f"]):
        ran = here(*arguments, "--json")
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.isascii()
        [record] = json.loads(ran.out)
        assert os.fsencode(record["name"]) == raw
        assert os.fsencode(record["path"]) == b"/d/" + raw
    [resolved] = json.loads(here("resolve", "--json", f"{hostile}:/link").out)
    assert os.fsencode(resolved["resolved"]) == b"/d/" + raw
    [link] = json.loads(here("stat", "--json", f"{hostile}:/link").out)
    assert os.fsencode(link["target"]) == b"d/" + raw


def test_json_of_a_listing_has_what_stat_has(tree: Path) -> None:
    listed = json.loads(here("ls", "-a", "--json", f"{tree}:/srv", f"{tree}:/run").out)
    names = [".hidden", ".secret", "dangling", "fifo", "loop", "x"]
    assert [record["name"] for record in listed] == names
    kinds = ["directory", "file", "symlink", "fifo", "symlink", "file"]
    assert [record["type"] for record in listed] == kinds
    file = listed[-1]
    status = (tree / "run/x").stat()
    assert file["address"] == f"{tree}:/run/x"
    assert (file["mode"], file["size"], file["links"]) == ("4750", 7, 1)
    assert (file["owner"], file["uid"], file["group"]) == ("alice", 1234, "alices")
    assert (file["inode"], file["mtime"]) == (status.st_ino, status.st_mtime)
    assert listed[2]["target"] == "/nowhere//at/all/"
    assert here("ls", "--json", file["address"]).out == here("find", "--json", file["address"]).out


def test_json_of_nothing_is_an_empty_array(tree: Path) -> None:
    for arguments in (["find", f"{tree}:/", "-name", "nothing"], ["ls", f"{tree}:/nowhere"]):
        assert json.loads(here(*arguments, "--json").out) == []


def test_json_is_whole_where_no_procfs_can_be_had(tree: Path) -> None:
    addresses = ("1:/", f"{tree}:/run", "2:/")
    ran = here("--proc", f"{tree}/nowhere", "ls", "--json", *addresses)
    assert [record["name"] for record in json.loads(ran.out)] == ["x"]
    assert ran.err == f"procpath: {tree}/nowhere: No such file or directory\n"


def test_json_of_a_trace_has_the_steps_and_the_error(tree: Path) -> None:
    ran = here("resolve", "--trace", "--json", f"{tree}:/var/run/x", f"{tree}:/srv/loop")
    assert ran.status == 1
    good, bad = json.loads(ran.out)
    assert (good["path"], good["resolved"], good["error"]) == ("/var/run/x", "/run/x", None)
    assert [step["kind"] for step in good["steps"]] == [
        "start",
        "directory",
        "link",
        "directory",
        "end",
    ]
    assert good["steps"][2]["target"] == "/run"
    assert bad["resolved"] is None
    assert bad["error"] == bad["steps"][-1]["error"] == "Too many levels of symbolic links"


@pytest.mark.parametrize("arguments", [["tree"], ["ls", "-R", "-l"], ["ls", "-R", "--json"]])
def test_names_in_a_tree_are_looked_at_in_their_held_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """From the root, it would take each of them as long as the tree is deep."""
    for directory in ("a/b/c", "z"):
        (tmp_path / directory).mkdir(parents=True)
        for name in ("l1", "l2"):
            (tmp_path / directory / name).symlink_to("nowhere")
    looked_up: list[str] = []
    open_from_the_root = Root.open

    def open_counted(self: Root, path: str, flags: int, mode: int = 0o777) -> int:
        looked_up.append(path)
        return open_from_the_root(self, path, flags, mode)

    monkeypatch.setattr(Root, "open", open_counted)
    ran = here(*arguments, f"{tmp_path}:/")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.count(b"nowhere") == 4
    assert set(looked_up) <= {"/"}
