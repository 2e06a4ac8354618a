"""The system calls that change what is on a disk, and those that don't: each that a run makes has to be in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

OPENAT = "openat"


class Shape(NamedTuple):
    """Which arguments of a call say what it changes: a descriptor, a path (from the descriptor if that is given too).

    Of two paths, the new one.
    """

    descriptor: int | None
    path: int | None = None


_FILE, _PATH, _PATH_AT = Shape(0), Shape(None, 0), Shape(0, 1)


def _numbers(x86_64: int, aarch64: int | None) -> dict[str, int]:
    return {"x86_64": x86_64} if aarch64 is None else {"x86_64": x86_64, "aarch64": aarch64}


CALLS: Mapping[str, tuple[Mapping[str, int], Shape]] = {
    "write": (_numbers(1, 64), _FILE),
    "writev": (_numbers(20, 66), _FILE),
    "pwrite64": (_numbers(18, 68), _FILE),
    "pwritev": (_numbers(296, 70), _FILE),
    "pwritev2": (_numbers(328, 287), _FILE),
    "sendfile": (_numbers(40, 71), _FILE),
    "splice": (_numbers(275, 76), Shape(2)),
    "copy_file_range": (_numbers(326, 285), Shape(2)),
    "ftruncate": (_numbers(77, 46), _FILE),
    "fallocate": (_numbers(285, 47), _FILE),
    "fsync": (_numbers(74, 82), _FILE),
    "fdatasync": (_numbers(75, 83), _FILE),
    "sync_file_range": (_numbers(277, 84), _FILE),
    "fchmod": (_numbers(91, 52), _FILE),
    "fchown": (_numbers(93, 55), _FILE),
    "fsetxattr": (_numbers(190, 7), _FILE),
    "fremovexattr": (_numbers(199, 16), _FILE),
    "utimensat": (_numbers(280, 88), _PATH_AT),
    OPENAT: (_numbers(257, 56), _PATH_AT),
    "openat2": (_numbers(437, 437), _PATH_AT),
    "mkdirat": (_numbers(258, 34), _PATH_AT),
    "mknodat": (_numbers(259, 33), _PATH_AT),
    "unlinkat": (_numbers(263, 35), _PATH_AT),
    "renameat": (_numbers(264, 38), Shape(2, 3)),
    "renameat2": (_numbers(316, 276), Shape(2, 3)),
    "linkat": (_numbers(265, 37), Shape(2, 3)),
    "symlinkat": (_numbers(266, 36), Shape(1, 2)),
    "fchmodat": (_numbers(268, 53), _PATH_AT),
    "fchmodat2": (_numbers(452, 452), _PATH_AT),
    "fchownat": (_numbers(260, 54), _PATH_AT),
    "truncate": (_numbers(76, 45), _PATH),
    "setxattr": (_numbers(188, 5), _PATH),
    "lsetxattr": (_numbers(189, 6), _PATH),
    "removexattr": (_numbers(197, 14), _PATH),
    "lremovexattr": (_numbers(198, 15), _PATH),
    "creat": (_numbers(85, None), _PATH),
    "rename": (_numbers(82, None), Shape(None, 1)),
    "link": (_numbers(86, None), Shape(None, 1)),
    "symlink": (_numbers(88, None), Shape(None, 1)),
    "mkdir": (_numbers(83, None), _PATH),
    "rmdir": (_numbers(84, None), _PATH),
    "unlink": (_numbers(87, None), _PATH),
    "mknod": (_numbers(133, None), _PATH),
    "chmod": (_numbers(90, None), _PATH),
    "chown": (_numbers(92, None), _PATH),
    "lchown": (_numbers(94, None), _PATH),
    "utime": (_numbers(132, None), _PATH),
    "utimes": (_numbers(235, None), _PATH),
    "futimesat": (_numbers(261, None), _PATH_AT),
}
"""By name: the numbers by machine, and the arguments."""

FLUSHES = frozenset({"fsync", "fdatasync", "sync_file_range"})
"""Those after which the same is to be read as before."""

TAKES_ROOM = frozenset(
    {"write", "writev", "pwrite64", "copy_file_range", "fallocate", OPENAT, "mkdir", "link", "linkat", "rename"}
) | {"renameat", "renameat2", "fsync", "fdatasync", "fsetxattr"}
"""Those that a full disk refuses first."""

_HARMLESS = """
access arch_prctl brk chdir clock_gettime clock_nanosleep clone clone3 close close_range connect dup dup2 dup3
execve exit exit_group faccessat faccessat2 fadvise64 fchdir fcntl fgetxattr flistxattr flock fork fstat fstatfs
futex getcwd getdents64 getegid geteuid getgid getgroups getpgrp getpid getppid getrandom getresgid getresuid
gettid getuid getxattr ioctl listxattr lseek lstat madvise membarrier mmap mprotect mremap munmap nanosleep
newfstatat pipe pipe2 poll ppoll prctl pread64 preadv prlimit64 pselect6 read readlink readlinkat readv
recvfrom recvmsg restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield
seccomp select sendmsg sendto set_robust_list set_tid_address setpgid setsid sigaltstack socket stat statfs statx
sysinfo tgkill umask uname vfork wait4 waitid
"""

HARMLESS = frozenset(_HARMLESS.split())
"""Calls that change nothing on a disk, as a run makes them: it opens with `openat` alone, and maps no file to write."""
