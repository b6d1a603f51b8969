"""The vulnerabilities of others that the tests of this folder reproduce, in a few words each.

What is said is what the advisories say; SECURITY.md has it as a table. Each has a test of its
own name, which first shows the hole in plain code and then that it is closed here.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Vulnerability(NamedTuple):
    """One published vulnerability."""

    id: str
    project: str
    shape: str
    """what it is an instance of"""
    summary: str


VULNERABILITIES: Final = (
    Vulnerability(
        "CVE-2017-1002101",
        "Kubernetes",
        "link at the end",
        "A subPath in a volume that is a link to the host was mounted into the container.",
    ),
    Vulnerability(
        "CVE-2018-15664",
        "docker cp",
        "swapped directory",
        "A directory swapped for a link after its path was resolved led the copy to the host.",
    ),
    Vulnerability(
        "CVE-2019-10152",
        "podman cp",
        "link at the end",
        "A link in the container was followed on the host, for reading and for writing.",
    ),
    Vulnerability(
        "CVE-2019-14271",
        "docker cp",
        "code from inside",
        "A helper that had changed its root into the container loaded its libraries from there.",
    ),
    Vulnerability(
        "CVE-2019-16884",
        "runc",
        "overmount",
        "An image's volume over /proc swallowed the security label written there.",
    ),
    Vulnerability(
        "CVE-2019-19921",
        "runc",
        "link in the middle",
        "A /proc that was a link to a shared volume made writes to procfs go to plain files.",
    ),
    Vulnerability(
        "CVE-2021-25741",
        "Kubernetes",
        "swapped directory",
        "A subPath swapped for a link between its check and its mount exposed the host.",
    ),
    Vulnerability(
        "CVE-2021-30465",
        "runc",
        "swapped directory",
        "A mount's destination swapped for a link after it was resolved mounted over the host.",
    ),
    Vulnerability(
        "CVE-2024-0132",
        "NVIDIA Container Toolkit",
        "link in the middle",
        "Links where an image's libraries are looked for led to files of the host.",
    ),
    Vulnerability(
        "CVE-2024-1753",
        "podman, buildah",
        "link at the end",
        "The source of a build's bind mount, a link to /, mounted the host's root.",
    ),
    Vulnerability(
        "CVE-2024-9676",
        "podman, buildah, CRI-O",
        "special file",
        "An image's /etc/passwd that was a link made the host read what it liked, without end.",
    ),
    Vulnerability(
        "CVE-2024-12718",
        "Python's tarfile",
        "extraction through a link",
        "Modes and times of files outside were changed in spite of the extraction filter.",
    ),
    Vulnerability(
        "CVE-2024-12747",
        "rsync",
        "swapped file",
        "A file swapped for a link after it was looked at made the sender read another.",
    ),
    Vulnerability(
        "CVE-2024-45310",
        "runc",
        "mkdir -p through a link",
        "A parent swapped for a link had empty files and directories made on the host.",
    ),
    Vulnerability(
        "CVE-2025-4138",
        "Python's tarfile",
        "link in the middle",
        "A link was checked before a later member changed where it leads.",
    ),
    Vulnerability(
        "CVE-2025-4330",
        "Python's tarfile",
        "hard link",
        "A hard link was extracted as a second link, whose text was checked at another place.",
    ),
    Vulnerability(
        "CVE-2025-4435",
        "Python's tarfile",
        "error ignored",
        "Members that the filter had refused were extracted all the same.",
    ),
    Vulnerability(
        "CVE-2025-4517",
        "Python's tarfile",
        "extraction through a link",
        "Links beyond PATH_MAX, where realpath() stops looking, led writes out.",
    ),
    Vulnerability(
        "CVE-2025-8194",
        "Python's tarfile",
        "negative size",
        "A member of a negative size was read again and again, for ever.",
    ),
    Vulnerability(
        "CVE-2025-31133",
        "runc",
        "swapped file",
        "The container's /dev/null, mounted over paths to mask them, was a link to what it liked.",
    ),
    Vulnerability(
        "CVE-2025-45582",
        "GNU tar",
        "extraction through a link",
        "A second archive wrote through a link that a first one had left behind.",
    ),
    Vulnerability(
        "CVE-2025-52565",
        "runc",
        "link at the end",
        "A terminal's name that was a link had another file mounted as /dev/console.",
    ),
    Vulnerability(
        "CVE-2025-52881",
        "runc",
        "magic link",
        "A real procfs file or link mounted over another took the writes meant for that one.",
    ),
    Vulnerability(
        "CVE-2026-17106",
        "docker cp",
        "string prefix",
        "Names were moved to the target as texts, so dir2/file went beside dir.",
    ),
    Vulnerability(
        "CVE-2026-29518",
        "rsync",
        "moved parent",
        "A parent swapped for a link between check and use led a daemon out of its module.",
    ),
    Vulnerability(
        "CVE-2026-39822",
        "Go os.Root",
        "link at the end",
        "A slash behind a link at the end made openat() follow it, in spite of O_NOFOLLOW.",
    ),
    Vulnerability(
        "CVE-2026-41567",
        "docker cp",
        "code from inside",
        "xz and unpigz were looked up in the container, and run as the host's root.",
    ),
    Vulnerability(
        "CVE-2026-41568",
        "docker cp",
        "mkdir -p through a link",
        "A mount point swapped for a link had empty files and directories made on the host.",
    ),
    Vulnerability(
        "CVE-2026-42306",
        "docker cp",
        "swapped directory",
        "A volume's mount point swapped for a link before mount() had it mounted over the host.",
    ),
)
