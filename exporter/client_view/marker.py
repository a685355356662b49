"""What `vantage create` made, written down before it is made, so that `remove` finds it after any crash.

Markers lie in /etc/netns/.outlook-auth-exporter, for `ip netns exec` complains about each file in /etc/netns/NAME that
/etc doesn't have. Only what a marker names is ever removed.
"""

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from exporter.client_view.command import ClientViewError

MARKERS = ".outlook-auth-exporter"
RESOLV_CONF = "resolv.conf"
#: By this line we know a file as ours.
HEADER = "# Made by outlook-auth-exporter vantage create.\n"
#: Bytes of a marker that are read.
MAX_MARKER = 16_384
_VERSION = 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A view as it is to be: enough to make it again, and to remove it."""

    name: str
    boot: str  # what isn't a file ends with the boot it was made in
    inside: str  # as the administrator named it
    device: str
    how: str  # bridge, redirect or routed
    host_end: str  # the veth's end at the gateway
    addresses: tuple[str, ...]  # with prefix length
    gateways: tuple[str, ...]
    mac: str
    mtu: int
    first_preference: int = 0  # of our tc filters: this one for IPv4, the next for IPv6
    made_clsact: bool = False
    made_parent: bool = False  # /etc/netns itself
    resolvers: tuple[str, ...] = ()
    version: int = _VERSION


def this_boot() -> str:
    """Changes with every start of the machine."""
    return _BOOT_ID.read_text().strip()


@contextmanager
def locked(parent: Path) -> Iterator[None]:
    """One `create` or `remove` at a time. The lock is on /etc, so that none leaves a file of its own."""
    descriptor = os.open(parent.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(parent: Path, name: str) -> Plan | None:
    """None where there is no marker. Raises ClientViewError where it is damaged."""
    path = _marker(parent, name)
    try:
        with path.open("rb") as file:
            values = json.loads(file.read(MAX_MARKER))
        if values.pop("version") != _VERSION or values["name"] != name:
            raise ValueError("another version's or name's")
        for key in ("addresses", "gateways", "resolvers"):
            values[key] = tuple(values[key])
        return Plan(**values)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ClientViewError(f"{path}: can't be read as a marker of vantage create ({error})") from error


def read_all(parent: Path) -> list[Plan]:
    """The plans of all our views."""
    found = [read(parent, path.name) for path in sorted(parent.glob(f"{MARKERS}/[!.]*"))]
    return [plan for plan in found if plan is not None]


def write_new(parent: Path, plan: Plan) -> Plan:
    """The marker, with /etc/netns around it, at once, where that is missing; the plan as it was written."""
    erase_half_made(parent, plan.name)
    if parent.exists():
        (parent / MARKERS).mkdir(mode=0o755, exist_ok=True)
        write_again(parent, plan)
        return plan
    plan = dataclasses.replace(plan, made_parent=True)
    stage = _stage(parent)
    (stage / MARKERS).mkdir(parents=True)
    write_again(stage, plan)
    os.rename(stage, parent)
    return plan


def write_again(parent: Path, plan: Plan) -> None:
    """A changed plan in place of the old one."""
    half = _half_written(parent, plan.name)
    half.write_text(json.dumps(dataclasses.asdict(plan), indent=1) + "\n")
    os.rename(half, _marker(parent, plan.name))


def write_resolv_conf(parent: Path, plan: Plan) -> None:
    """The namespace's resolv.conf, where there is none yet: an administrator may have changed it."""
    path = parent / plan.name / RESOLV_CONF
    if path.exists():
        return
    path.parent.mkdir(mode=0o755, exist_ok=True)
    half = path.parent.parent / MARKERS / f".{plan.name}.{RESOLV_CONF}"
    half.write_text(HEADER + "".join(f"nameserver {address}\n" for address in plan.resolvers))
    os.rename(half, path)


def erase(parent: Path, plan: Plan) -> None:
    """The files, the marker last. What someone else put into the directory stays."""
    resolv_conf = parent / plan.name / RESOLV_CONF
    if resolv_conf.is_file() and resolv_conf.read_text(errors="replace").startswith(HEADER):
        resolv_conf.unlink()
    remove_if_empty(parent / plan.name)
    if plan.made_parent and not {path.name for path in parent.iterdir()} - {MARKERS}:
        return _erase_parent(parent, plan.name)
    _marker(parent, plan.name).unlink(missing_ok=True)
    erase_half_made(parent, plan.name)


def _erase_parent(parent: Path, name: str) -> None:
    """/etc/netns itself was ours and holds nothing else: it goes as it came, by rename."""
    others = {path.name for path in (parent / MARKERS).iterdir() if not path.name.startswith(".")} - {name}
    if others:
        _marker(parent, name).unlink(missing_ok=True)
    else:
        os.rename(parent, _stage(parent))
    erase_half_made(parent, name)


def erase_half_made(parent: Path, name: str) -> None:
    """What a crash left before there was a marker, or after it was gone. All these names are ours alone."""
    for directory in (parent, _stage(parent)):
        _half_written(directory, name).unlink(missing_ok=True)
        (directory / MARKERS / f".{name}.{RESOLV_CONF}").unlink(missing_ok=True)
    for left in (_stage(parent) / MARKERS).glob("*"):
        left.unlink()
    for directory in (_stage(parent) / MARKERS, _stage(parent), parent / MARKERS):
        remove_if_empty(directory)


def remove_if_empty(directory: Path) -> None:
    """rmdir(2), which refuses where anything is in it."""
    try:
        directory.rmdir()
    except OSError:
        pass


def _marker(parent: Path, name: str) -> Path:
    return parent / MARKERS / name


def _half_written(parent: Path, name: str) -> Path:
    return parent / MARKERS / f".{name}.new"


def _stage(parent: Path) -> Path:
    """Where /etc/netns is made, and ends, out of sight."""
    return parent.parent / ".outlook-auth-exporter-netns"
