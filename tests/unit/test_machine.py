"""What the machine gives, and what is kept out of the way."""

from __future__ import annotations

import gc
import os

import pytest

from tidegate.machine import available_cpus, memory_bytes, no_collection


def test_collection_stops_for_a_while_and_comes_back_whatever_happens() -> None:
    with pytest.raises(ZeroDivisionError), no_collection():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()


def test_collection_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_cores_are_those_that_we_may_run_on() -> None:
    assert 1 <= available_cpus() <= len(os.sched_getaffinity(0))


def test_memory_is_more_than_an_interpreter_needs() -> None:
    assert (memory_bytes() or 0) > 1 << 20
