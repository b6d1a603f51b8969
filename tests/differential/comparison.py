"""Questions, the model's answers to them, and where the witnesses disagree.

The chrooted process is right by definition; the model and both resolvers have to say the
same: same object, same place of creation, same ``errno``.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from errno import EACCES, ELOOP
from functools import cache
from typing import Any

from differential.laboratory import (
    CHROOT,
    RESOLVERS,
    Answer,
    Created,
    Failed,
    Found,
    Laboratory,
    Nameless,
    Question,
    Text,
)
from differential.mirror import Operation, change, look
from procpath.testing import Tree, model
from procpath.testing.model import Caller, Rules

ROOT = Caller()
USER = Caller(uid=1000, gid=1000, groups=frozenset({1001}), privileged=False)
OWNERS = (0, 1000, 1001)

_SWITCHES = (
    os.O_CREAT,
    os.O_EXCL,
    os.O_TRUNC,
    os.O_APPEND,
    os.O_NOFOLLOW,
    os.O_DIRECTORY,
)


def _all_flags() -> list[int]:
    """Every access mode with every set of the flags that resolution depends on."""
    subsets = [
        sum(chosen)
        for size in range(len(_SWITCHES) + 1)
        for chosen in itertools.combinations(_SWITCHES, size)
    ]
    kinds = (os.O_RDONLY, os.O_WRONLY, os.O_RDWR)
    plain = [kind | subset for kind in kinds for subset in subsets]
    # O_TMPFILE has O_DIRECTORY's bit in it.
    nameless = [
        kind | os.O_TMPFILE | subset
        for kind in kinds
        for subset in subsets
        if not subset & (os.O_DIRECTORY | os.O_APPEND | os.O_TRUNC)
    ]
    held = [os.O_PATH | subset for subset in subsets if not subset & (os.O_APPEND | os.O_TRUNC)]
    # Nobody is at the other end of a FIFO.
    return [os.O_NONBLOCK | flags for flags in (*plain, *nameless, *held)]


ALL_FLAGS = _all_flags()
# Open(2) refuses these before it looks at the path, so they tell little about paths.
_LOOKED_AT = [
    flags
    for flags in ALL_FLAGS
    if flags & os.O_PATH
    or (
        not (flags & os.O_CREAT and flags & os.O_DIRECTORY)
        and not (flags & os.O_TMPFILE == os.O_TMPFILE and flags & os.O_ACCMODE == os.O_RDONLY)
    )
]
_FLAGS_AT_ONCE = 12
FLAG_SETS = len(_LOOKED_AT) // _FLAGS_AT_ONCE
_ATTEMPTS = 10
_LONG = 300


def questions_about(path: str, flag_set: int) -> Iterator[Question]:
    """What to ask about one path; the flag sets together cover all flags that pass."""
    for call in ("stat", "lstat"):
        yield Question(call, path)
    for flags in (os.O_PATH, os.O_PATH | os.O_NOFOLLOW, *_LOOKED_AT[flag_set::FLAG_SETS]):
        yield Question("open", path, flags)
    yield Question("open", path + "/new", os.O_WRONLY | os.O_CREAT)


@dataclass
class Tally:
    """What was compared, for the summary at the end."""

    trees: int = 0
    questions: int = 0
    answers: int = 0
    seconds: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - begin


def model_answer(tree: Tree, question: Question, caller: Caller, rules: Rules) -> Answer:
    """What the model says to a question."""
    who: dict[str, Any] = {"caller": caller, "rules": rules}
    try:
        if question.call == "open":
            opened = model.open(tree, question.path, question.flags, **who)
            kinds = {"found": Found, "created": Created, "nameless": Nameless}
            return kinds[opened.how](opened.path)
        if question.call == "readlink":
            return Text(model.readlink(tree, question.path, **who))
        follow = question.call == "stat"
        return Found(model.resolve(tree, question.path, follow_last=follow, **who))
    except OSError as error:
        return Failed.by(error)


class Comparison:
    """Compares what the witnesses say, and counts.

    ``rules`` are those of this machine: what its sysctls say.
    """

    def __init__(self, laboratory: Laboratory, tally: Tally, rules: Rules) -> None:
        self.laboratory = laboratory
        self.tally = tally
        self.rules = rules

    def with_chroot(self, tree: Tree, questions: Sequence[Question], caller: Caller) -> None:
        """The model and both resolvers must say what the chrooted process says."""
        given = self.laboratory.ask(tree, questions, caller=caller)
        settled = [
            self._settle(tree, question, answer, caller)
            for question, answer in zip(questions, given.pop(CHROOT), strict=True)
        ]
        said = [model_answer(tree, question, caller, self.rules) for question in questions]
        found = list(_differences("the model", questions, said, settled))
        for resolver, answers in given.items():
            beyond = self._beyond_path_max(tree, questions, settled, caller)
            found += _differences(resolver, questions, answers, beyond)
        self._count(questions, 1 + len(given))
        assert not found, f"as {caller} in {tree!r}:\n" + "\n".join(found)

    def with_model(
        self, tree: Tree, questions: Sequence[Question], caller: Caller, **options: Any
    ) -> None:
        """Both resolvers, with options that no chroot has, must say what the model says."""
        rules = replace(self.rules, path_max=None, **options)
        said = [model_answer(tree, question, caller, rules) for question in questions]
        given = self.laboratory.ask(
            tree, questions, caller=caller, options=options, witnesses=RESOLVERS
        )
        found: list[str] = []
        for resolver, answers in given.items():
            found += _differences(resolver, questions, answers, said)
        self._count(questions, len(given))
        assert not found, f"with {options} as {caller} in {tree!r}:\n" + "\n".join(found)

    def of_operations(
        self, tree: Tree, operations: Sequence[Operation], caller: Caller, resolver: str
    ) -> None:
        """A RootedPath must answer what pathlib answers in a chroot, where nothing changes."""
        mirrored = self.laboratory.do(look, tree, operations, caller, resolver)
        self._count(operations, 1)
        found = [
            f"{operation} is {ours}, not {theirs}"
            for operation, (ours, theirs) in zip(operations, mirrored, strict=True)
            if ours != theirs and not self.may_count_twice(tree, operation.path, caller)
        ]
        assert not found, f"by {resolver} as {caller} in {tree!r}:\n" + "\n".join(found)

    def of_change(
        self, directory: str, operation: Operation, caller: Caller, resolver: str
    ) -> Tree:
        """Do it on both copies in ``directory``; the tree that they have become."""
        (ours, theirs), our_tree, their_tree = self.laboratory.do(
            change, directory, operation, caller, resolver
        )
        self.tally.questions += 1
        self.tally.answers += 2
        by = f"{operation} by {resolver} as {caller}"
        assert ours == theirs, f"{by} is {ours}, not {theirs}"
        assert our_tree == their_tree, f"{by} makes {our_tree}, not {their_tree}"
        return our_tree

    def may_count_twice(self, tree: Tree, path: str, caller: Caller) -> bool:
        """Whether the kernel may take links for too many that are not; see :meth:`_settle`."""
        twice = replace(self.rules, max_links=self.rules.max_links // 2)
        return any(
            model_answer(tree, question, caller, self.rules)
            != model_answer(tree, question, caller, twice)
            for question in (Question("stat", path), Question("lstat", path + "/new"))
        )

    def _count(self, questions: Sequence[object], witnesses: int) -> None:
        self.tally.trees += 1
        self.tally.questions += len(questions)
        self.tally.answers += witnesses * len(questions)

    def _settle(self, tree: Tree, question: Question, answer: Answer, caller: Caller) -> Answer:
        """The right answer, where a chrooted process's is an accident.

        When the kernel's lockless walk fails, because a mount or rename happened anywhere
        on the machine, it walks again from the start and does not set its count of links
        back (-ECHILD, path_openat() in fs/namei.c). So more than 20 links are now and then
        ELOOP; and always, on a tmpfs, where the last of them is protected (may_follow_link()).
        """
        if answer != Failed(ELOOP):
            return answer
        expected = model_answer(tree, question, caller, self.rules)
        counted_twice = replace(self.rules, max_links=self.rules.max_links // 2)
        if expected == answer or model_answer(tree, question, caller, counted_twice) != answer:
            return answer
        if expected == Failed(EACCES):
            return expected
        for _ in range(_ATTEMPTS):
            again = self.laboratory.ask(tree, [question], caller=caller, witnesses=[CHROOT])
            if again[CHROOT] != [answer]:
                return again[CHROOT][0]
        return answer

    def _beyond_path_max(
        self, tree: Tree, questions: Sequence[Question], right: list[Answer], caller: Caller
    ) -> Iterator[Answer]:
        """The right answers for resolvers, which paths of PATH_MAX and longer do not stop."""
        rules = replace(self.rules, path_max=None)
        for question, answer in zip(questions, right, strict=True):
            if len(os.fsencode(question.path)) < model.PATH_MAX:
                yield answer
            else:
                yield model_answer(tree, question, caller, rules)


def _differences(
    witness: str,
    questions: Sequence[Question],
    given: Iterable[Answer],
    right: Iterable[Answer],
) -> Iterator[str]:
    for question, answer, expected in zip(questions, given, right, strict=True):
        if not _are_same(answer, expected):
            yield f"{witness}: {describe(question)} is {explain(answer)}, not {explain(expected)}"


def _are_same(one: Answer, other: Answer) -> bool:
    # The model has no descriptors, and so nothing to say of their flags.
    if isinstance(one, Found) and isinstance(other, Found) and None in (one[1], other[1]):
        return one.path == other.path
    return one == other


def describe(question: Question) -> str:
    """The question as Python code."""
    path = repr(question.path)
    if len(path) > _LONG:
        path = f"{path[:_LONG]}... of {len(os.fsencode(question.path))} bytes"
    if question.call != "open":
        return f"{question.call}({path})"
    return f"open({path}, {flag_names(question.flags)})"


def explain(answer: Answer) -> str:
    """The answer in words."""
    if isinstance(answer, Failed):
        return errno.errorcode.get(answer.errno, str(answer.errno))
    if isinstance(answer, Found) and answer.status_flags:
        return f"Found({answer.path!r}, {flag_names(answer.status_flags)})"
    return repr(answer)


@cache
def flag_names(flags: int) -> str:
    """``flags`` as open(2) calls them."""
    shown = [{0: "O_RDONLY", 1: "O_WRONLY", 2: "O_RDWR"}.get(flags & os.O_ACCMODE, "3")]
    rest = flags & ~os.O_ACCMODE
    for name in (
        "O_TMPFILE",
        "O_PATH",
        "O_CREAT",
        "O_EXCL",
        "O_TRUNC",
        "O_APPEND",
        "O_NOFOLLOW",
        "O_DIRECTORY",
        "O_NONBLOCK",
        "O_SYNC",
        "O_DSYNC",
        "O_NOATIME",
    ):
        value = getattr(os, name)
        if rest & value == value:
            shown.append(name)
            rest &= ~value
    return " | ".join([*shown, hex(rest)] if rest else shown)
