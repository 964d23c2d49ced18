# SPDX-License-Identifier: Apache-2.0
"""The door to the compiled binding; needs the extension, no corosync."""

import sys

import pytest

from rgmgr.adapters.corosync import CmapHandle, NumberType
from rgmgr.adapters.corosync import binding as door
from rgmgr.adapters.corosync.batch import NUMBERS, STRING
from rgmgr.errors import CorosyncError


@pytest.fixture
def compiled() -> door.Binding:
    pytest.importorskip("rgmgr._corosync", reason="built without corosync's headers")
    return door.load()


def test_an_absent_corosync_is_an_error_with_its_name(
    compiled: door.Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where this machine runs one: nothing here may speak to it."""

    class Absent:
        RGMGR_CMAP = compiled.lib.RGMGR_CMAP
        CMAP_MAP_ICMAP = compiled.lib.CMAP_MAP_ICMAP

        @staticmethod
        def cmap_initialize_map(_handle: object, _which: int) -> int:
            return compiled.lib.CS_ERR_LIBRARY

    absent = door.Binding(compiled.ffi, Absent())  # type: ignore[arg-type]
    monkeypatch.setattr("rgmgr.adapters.corosync.handle.load", lambda: absent)

    with pytest.raises(CorosyncError) as refused:
        CmapHandle()

    assert (refused.value.call, refused.value.code) == ("cmap_initialize_map", "CS_ERR_LIBRARY")
    assert "systemctl status corosync" in str(refused.value)


def test_a_handle_that_was_never_opened_is_refused_by_the_library(compiled: door.Binding) -> None:
    batch = compiled.ffi.new("struct rgmgr_batch *")

    codes = [
        compiled.lib.rgmgr_dispatch(library, 4711, batch, 1)
        for library in (
            compiled.lib.RGMGR_CPG,
            compiled.lib.RGMGR_QUORUM,
            compiled.lib.RGMGR_VOTEQUORUM,
            compiled.lib.RGMGR_CFG,
            compiled.lib.RGMGR_CMAP,
        )
    ]

    assert [door.code_name(code) for code in codes] == ["CS_ERR_BAD_HANDLE"] * 5
    no_library = compiled.lib.rgmgr_dispatch(99, 4711, batch, 1)
    assert door.code_name(no_library) == "CS_ERR_INVALID_PARAM"


def test_the_types_of_cmap_are_those_of_the_headers(compiled: door.Binding) -> None:
    by_name = {kind.name: kind.value for kind in NumberType} | {"STRING": STRING}

    in_headers = {name: getattr(compiled.lib, f"CMAP_VALUETYPE_{name}") for name in by_name}

    assert in_headers == by_name
    assert set(NUMBERS) == {kind.value for kind in NumberType}
    assert compiled.lib.CMAP_TRACK_DELETE == 1


@pytest.mark.usefixtures("compiled")
def test_a_failed_call_is_named_with_its_code() -> None:
    with pytest.raises(CorosyncError) as refused:
        door.check(11, "cpg_join")
    with pytest.raises(CorosyncError) as strange:
        door.check(4711, "cpg_join")

    assert (refused.value.call, refused.value.code) == ("cpg_join", "CS_ERR_ACCESS")
    assert "/etc/corosync/uidgid.d" in str(refused.value)
    assert strange.value.code == "cs_error_t 4711"


def test_a_missing_extension_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rgmgr._corosync", None)
    monkeypatch.delattr("rgmgr._corosync", raising=False)

    with pytest.raises(CorosyncError) as missing:
        door.load.__wrapped__()

    assert missing.value.code == "NOT_BUILT"
    assert "libcpg-dev" in str(missing.value)
    assert "pip install" in str(missing.value)
