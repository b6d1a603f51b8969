"""The kernel's constants that Python lacks: system call numbers, flags, magic numbers.

Numbers are those of 64-bit Linux on x86-64 and aarch64, by the names of its headers
(include/uapi). Names without an origin are sets of flags that this package opens files with.
"""

from __future__ import annotations

import os
from errno import EACCES, ENOSYS, EPERM

# The calls since Linux 5.0 have one number on every architecture
# (include/uapi/asm-generic/unistd.h); older ones differ.
SYS_open_tree = 428
SYS_move_mount = 429
SYS_fsopen = 430
SYS_fsconfig = 431
SYS_fsmount = 432
SYS_pidfd_open = 434
SYS_openat2 = 437
SYS_fchmodat2 = 452
SYS_setxattrat = 463
SYS_getxattrat = 464
SYS_listxattrat = 465
SYS_removexattrat = 466
OLDER_SYSCALLS = {
    "x86_64": {"pivot_root": 155, "renameat2": 316, "seccomp": 317, "statx": 332},
    "aarch64": {"pivot_root": 41, "renameat2": 276, "seccomp": 277, "statx": 291},
}
"""By the machine of uname(2)."""

# openat2(2)
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10
RESOLVE_CACHED = 0x20  # Linux 5.12

# include/uapi/linux/limits.h, with the NUL at the end
PATH_MAX = 4096

# include/uapi/linux/fcntl.h
AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_NO_AUTOMOUNT = 0x800
AT_EMPTY_PATH = 0x1000
AT_STATX_DONT_SYNC = 0x4000
AT_RECURSIVE = 0x8000

# statx(2)
STATX_BASIC_STATS = 0x07FF
STATX_BTIME = 0x0800
STATX_MNT_ID = 0x1000  # Linux 5.8
STATX_MNT_ID_UNIQUE = 0x4000  # Linux 6.8
EITHER_MNT_ID = STATX_MNT_ID | STATX_MNT_ID_UNIQUE
STATX_ATTR_APPEND = 0x20
STATX_ATTR_MOUNT_ROOT = 0x2000  # Linux 5.8

# fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2)
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
OPEN_TREE_CLONE = 1
MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOVE_MOUNT_F_EMPTY_PATH = 0x04

# renameat2(2)
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

# mount(2), umount2(2)
MS_RDONLY = 0x01
MS_NOSUID = 0x02
MS_NODEV = 0x04
MS_NOEXEC = 0x08
MS_REMOUNT = 0x20
MS_NOSYMFOLLOW = 0x100
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

# unshare(2), setns(2)
CLONE_FS = 0x00000200
CLONE_FILES = 0x00000400
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

# statfs(2)
PROC_SUPER_MAGIC = 0x9FA0
PID_FS_MAGIC = 0x50494446  # Linux 6.9
ST_NOSYMFOLLOW = 0x2000  # Linux 5.10, include/linux/statfs.h

# include/uapi/linux/magic.h, or the file system's own source where the name is in brackets.
KERNEL_FILE_SYSTEMS = {
    PROC_SUPER_MAGIC: "procfs",
    0x62656572: "sysfs",
    0x27E0EB: "cgroup",  # cpuset too
    0x63677270: "cgroup2",
    0x64626720: "debugfs",
    0x74726163: "tracefs",
    0x73636673: "securityfs",
    0x62656570: "configfs",  # (fs/configfs)
    0xCAFE4A11: "bpf",
    0x6165676C: "pstore",
    0xDE5E81E4: "efivarfs",
    0xF97CFF8C: "selinuxfs",
    0x43415D53: "smackfs",
    0x5A3C69F0: "apparmorfs",
    0x42494E4D: "binfmt_misc",
    0x6E736673: "nsfs",
    0x50494446: "pidfs",
    0x534F434B: "sockfs",
    0x50495045: "pipefs",
    0x09041934: "anon_inodefs",
    0x62646576: "bdevfs",
    0x19800202: "mqueue",  # (ipc/mqueue.c)
    0x65735543: "fusectl",  # (fs/fuse)
    0x67596969: "rpc_pipefs",  # (net/sunrpc)
    0x6E667364: "nfsd",  # (fs/nfsd)
    0x6C6F6F70: "binder",
    0x07655821: "resctrl",
    0xABBA1974: "xenfs",
    0x76A9F425: "ocfs2_dlmfs",  # (fs/ocfs2)
    0x0A647361: "functionfs",  # (drivers/usb/gadget)
    0xAEE71EE7: "gadgetfs",  # (drivers/usb/gadget)
    0x9FA1: "openpromfs",
    0x9FA2: "usbfs",
    0x23C9B64E: "spufs",  # (arch/powerpc)
    0x687970: "s390_hypfs",  # (arch/s390)
    0x64646178: "dax",
    0x444D4142: "dmabuf",
    0x454D444D: "devmem",
    0x5345434D: "secretmem",
    0x47504653: "aio",  # (fs/aio.c)
}
"""By their ``f_type``: the file systems whose files are the kernel's own. Most answer about whoever
reads them and obey whoever writes to them, and some block, or tell something only once.
"""


# Flags of open(2) for what this library opens itself.
FIND = os.O_PATH | os.O_CLOEXEC
"""hold what a path leads to; has no effect on it"""
FIND_NOFOLLOW = FIND | os.O_NOFOLLOW
"""hold what a name is, a link for itself"""
FIND_DIRECTORY = FIND | os.O_DIRECTORY
FIND_DIRECTORY_NOFOLLOW = FIND_NOFOLLOW | os.O_DIRECTORY
LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
"""read the entries of a directory; O_NONBLOCK in case it is swapped for a FIFO"""
LISTING_NOFOLLOW = LISTING | os.O_NOFOLLOW
CREATE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

DENIED = frozenset((ENOSYS, EPERM, EACCES))
"""Errnos of a system call that the kernel lacks, or that a seccomp filter or a security module
denies. A call that cannot fail with EPERM or EACCES otherwise is not to be had.
"""

# socket(2); the socket module takes long to import
SOCK_STREAM = 1

# seccomp(2), prctl(2)
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""``seccomp_data.arch`` of 64-bit system calls, by the machine of uname(2)"""

PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x08  # Linux 5.0
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 0x20  # Linux 5.19
SECCOMP_USER_NOTIF_FLAG_CONTINUE = 1  # Linux 5.5
SECCOMP_IOCTL_NOTIF_RECV = 0xC0502100
SECCOMP_IOCTL_NOTIF_SEND = 0xC0182101
SECCOMP_IOCTL_NOTIF_ID_VALID = 0x40082102
SECCOMP_RET_USER_NOTIF = 0x7FC00000
SECCOMP_RET_ERRNO = 0x00050000
SECCOMP_RET_ALLOW = 0x7FFF0000

# inotify(7)
IN_ACCESS = 0x001
IN_MODIFY = 0x002
IN_ATTRIB = 0x004
IN_OPEN = 0x020
IN_MOVED_FROM = 0x040
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x01000000
IN_DONT_FOLLOW = 0x02000000
