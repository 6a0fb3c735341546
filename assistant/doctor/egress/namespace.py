"""Namespaces of this process's own: users (without root), network, mounts. Python 3.10 has no call for them."""

import ctypes
import errno
import os
from pathlib import Path

from assistant.errors import ProofError

_NEW_MOUNTS, _NEW_USERS, _NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000
_PRIVATE, _RECURSIVE = 1 << 18, 1 << 14
_BESIDE_THE_NETWORK = ("/run/systemd/resolve", "/run/nscd", "/run/avahi-daemon", "/run/bedside")
"""Sockets through which a program could ask somebody outside for a name, or another server for an answer: empty from here on."""
_SWITCHES = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"),
    ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "user.max_user_namespaces=1000"),
)


def leave_the_network() -> None:
    """Move this process, which may have one thread only, and all that it starts into a network with nothing in it.

    Users keep their numbers, so that what is started has no more rights than before. Raises ProofError.
    """
    users, groups = os.getuid(), os.getgid()
    try:
        if users != 0 or not _unshared(_NEW_NETWORK | _NEW_MOUNTS):
            _unshare(_NEW_USERS | _NEW_NETWORK | _NEW_MOUNTS)
            Path("/proc/self/setgroups").write_text("deny", "ascii")
            Path("/proc/self/gid_map").write_text(f"{groups} {groups} 1", "ascii")
            Path("/proc/self/uid_map").write_text(f"{users} {users} 1", "ascii")
        _mount("none", "/", "", _RECURSIVE | _PRIVATE)
        for folder in filter(os.path.isdir, _BESIDE_THE_NETWORK):
            _mount("none", folder, "tmpfs", 0)
    except OSError as error:
        raise refusal(error) from None


def refusal(error: OSError, proc: Path = Path("/proc")) -> ProofError:
    """Why there is no network of one's own, and what allows it."""
    remedy = "run it as root (sudo); in a container, on the machine that it runs on"
    for name, closed, opened in _SWITCHES:
        try:
            if (proc / "sys" / name).read_text("ascii").strip() == closed:
                remedy = f"run it with sudo, or allow it once: sudo sysctl {opened}"
        except (OSError, UnicodeDecodeError):
            continue
    if error.errno in (errno.EOPNOTSUPP, errno.ENODEV):
        return ProofError("not proven: this kernel has no virtual network cables; load them once: sudo modprobe veth")
    reason = error.strerror or str(error)
    return ProofError(f"not proven: this system gives no network namespace ({reason}); {remedy}")


def _unshared(flags: int) -> bool:
    """Whether root may do it without users of its own; in a container it may not."""
    try:
        _unshare(flags)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        return False
    return True


def _unshare(flags: int) -> None:
    _check(_c().unshare(flags))


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    _check(_c().mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), None))


def _c() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(answer: int) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
