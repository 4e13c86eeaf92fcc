"""What do service and monitor both ask of a machine: is a port free, who else reads a secret, does a host answer?"""

import errno
import os
import socket
import ssl
import stat
from pathlib import Path

from models.finding import Finding, bad, ok

OURS = "a port that is free, or ours"
EVERYBODY = "readable by its owner, at most by its group"


def port_of(check: str, host: str, port: int, holder: str, setting: str) -> Finding:
    """`holder`: who of ours has the port, empty where nobody does; `setting`: what would give it another one."""
    at, expected = f"{host}:{port}", OURS
    if holder:
        return ok(check, f"{at} is held by {holder}", expected)
    if port == 0:
        return ok(check, f"{at}: the kernel chooses", expected)
    match _refused(host, port):
        case None:
            return ok(check, f"{at} is free", expected)
        case errno.EADDRINUSE:
            advice = f"find its owner: ss -ltnp 'sport = :{port}'; or take another: {setting}"
            return bad(check, f"{at} is taken by another process", expected, advice)
        case errno.EACCES:
            return bad(check, f"{at} is for root", expected, f"take a port above 1023: {setting}")
        case number:
            return bad(
                check, f"{at}: {os.strerror(number)}", "an address of this machine", "ip -brief address; set host"
            )


def secret_of(check: str, path: Path) -> Finding:
    """A file that holds a secret."""
    try:
        found = path.stat()
    except PermissionError:
        return bad(check, f"{path}: user {os.geteuid()} cannot reach it", EVERYBODY, f"ls -ld {path.parent}")
    except FileNotFoundError:
        return bad(check, f"{path} is not there", "the file that the settings name", f"write the secret to {path}")
    mode = f"{path} has mode {stat.S_IMODE(found.st_mode):04o}"
    if found.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        return bad(check, f"{mode}: everybody on this machine can open it", EVERYBODY, f"chmod o= {path}")
    if not os.access(path, os.R_OK, effective_ids=True):
        return bad(check, f"{mode}: this user cannot read it", EVERYBODY, f"chown {os.geteuid()} {path}")
    return ok(check, mode, EVERYBODY)


def connect(host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None) -> None:
    """Opens a connection, with its handshake where it has one, and closes it: nothing is asked. Raises OSError."""
    with socket.create_connection((host, port), timeout=timeout_s) as plain:
        if tls is not None:
            with tls.wrap_socket(plain, server_hostname=host):
                pass


def _refused(host: str, port: int) -> int | None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno or errno.EADDRNOTAVAIL
    return None
