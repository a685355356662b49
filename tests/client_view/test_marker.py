"""Markers and plans. Invariant: any bytes are a plan of that name, or one clear error."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.client_view import ClientViewError, marker
from exporter.client_view.marker import Plan

PLAN = Plan(
    name="clients",
    boot="b",
    inside="eth1",
    device="eth1",
    how="redirect",
    host_end="oae-1",
    addresses=("10.0.0.9/24",),
    gateways=("10.0.0.1",),
    mac="02:00:00:00:00:01",
    mtu=1500,
    resolvers=("10.0.0.1",),
)


def tree(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return tmp_path / "netns"


def test_what_is_written_is_read_and_erased(parent: Path) -> None:
    plan = marker.write_new(parent, PLAN)
    assert plan == dataclasses.replace(PLAN, made_parent=True)
    marker.write_resolv_conf(parent, plan)
    assert marker.read(parent, "clients") == plan
    assert marker.read_all(parent) == [plan]
    assert (parent / "clients" / "resolv.conf").read_text().splitlines()[1:] == ["nameserver 10.0.0.1"]
    assert tree(parent) == [
        ".outlook-auth-exporter",
        ".outlook-auth-exporter/clients",
        "clients",
        "clients/resolv.conf",
    ]
    marker.erase(parent, plan)
    assert tree(parent.parent) == []


def test_a_directory_that_was_there_stays(parent: Path) -> None:
    (parent / "other").mkdir(parents=True)
    plan = marker.write_new(parent, PLAN)
    marker.write_resolv_conf(parent, plan)
    marker.erase(parent, plan)
    assert (plan, tree(parent.parent)) == (PLAN, ["netns", "netns/other"])


def test_others_of_ours_stay(parent: Path) -> None:
    first = marker.write_new(parent, PLAN)
    second = marker.write_new(parent, dataclasses.replace(PLAN, name="more"))
    marker.erase(parent, first)
    assert marker.read_all(parent) == [second]
    marker.erase(parent, second)
    assert tree(parent) == []


def test_what_a_crash_left_half_made_is_erased(parent: Path) -> None:
    stage = parent.parent / ".outlook-auth-exporter-netns" / ".outlook-auth-exporter"
    stage.mkdir(parents=True)
    (stage / ".clients.new").write_text("{")
    marker.erase_half_made(parent, "clients")
    assert tree(parent.parent) == []


def test_no_marker() -> None:
    assert marker.read(Path("/nonexistent"), "clients") is None
    assert marker.read_all(Path("/nonexistent")) == []


VALUES = st.dictionaries(st.sampled_from([field.name for field in dataclasses.fields(Plan)]), st.integers() | st.text())


@given(content=st.binary(max_size=200) | VALUES.map(lambda values: json.dumps(values).encode()))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    parent = tmp_path_factory.mktemp("netns")
    (parent / marker.MARKERS).mkdir()
    (parent / marker.MARKERS / "clients").write_bytes(content)
    with pytest.raises(ClientViewError, match="can't be read as a marker of vantage create"):
        marker.read(parent, "clients")


@given(cut=st.integers(0, 400), garbage=st.binary(min_size=1, max_size=5))
def test_cut_and_with_garbage_behind(tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes) -> None:
    parent = tmp_path_factory.mktemp("etc") / "netns"
    plan = marker.write_new(parent, PLAN)
    path = parent / marker.MARKERS / "clients"
    whole = path.read_bytes()
    for damaged in (whole[: min(cut, len(whole) - 2)], whole + b"}" + garbage):
        path.write_bytes(damaged)
        with pytest.raises(ClientViewError):
            marker.read(parent, "clients")
    path.write_bytes(whole)
    assert marker.read(parent, "clients") == plan


def test_a_marker_under_another_name_or_version_is_none_of_ours(parent: Path) -> None:
    marker.write_new(parent, PLAN)
    path = parent / marker.MARKERS / "clients"
    path.rename(path.with_name("renamed"))
    with pytest.raises(ClientViewError, match="another version's or name's"):
        marker.read(parent, "renamed")
