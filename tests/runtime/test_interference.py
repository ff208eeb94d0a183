"""What disturbs a timing is noticed, and what a driver does not tell disturbs nothing."""

import os

import pytest
import torch
from sinkbench.results.datasheet import datasheet_bandwidth
from sinkbench.runtime import environment, interference
from sinkbench.runtime.interference import disturbances, host_ms, read_state

CLEAN = {
    "host_ms": 1.0,
    "sm_clock_mhz": 1980.0,
    "clock_event_bits": 0x4,
    "other_processes": 0,
    "other_memory_bytes": 700 << 20,
}
UNKNOWN = dict.fromkeys(("sm_clock_mhz", "clock_event_bits", "other_processes"))
UNKNOWN |= {"host_ms": 1.0, "other_memory_bytes": 0}
TPOTS = [1.50, 1.51, 1.49, 1.52, 1.50]
# what one repetition's state has after it, and a word of the reason
SIGNS = {
    "process": ({"other_processes": 1}, "another process"),
    "hidden process": ({"other_memory_bytes": 3 << 30}, "another process"),
    "hardware slowdown": ({"clock_event_bits": 0x8}, "slowdown"),
    "software thermal": ({"clock_event_bits": 0x20}, "slowdown"),
    "hardware thermal": ({"clock_event_bits": 0x40}, "slowdown"),
    "power brake": ({"clock_event_bits": 0x80 | 0x4}, "slowdown"),
    "clock": ({"sm_clock_mhz": 1600.0}, "SM clock"),
}


def repetitions(tpots=TPOTS, state=CLEAN, point=2048) -> list[dict]:
    return [{"point": point, "tpot_ms": ms, "state": {"before": state, "after": state}} for ms in tpots]


def reasons_with(index: int, when: str, **changes) -> list[list[str]]:
    timed = repetitions()
    timed[index]["state"] = timed[index]["state"] | {when: CLEAN | changes}
    return disturbances(timed, CLEAN)


@pytest.mark.parametrize("state", [CLEAN, UNKNOWN, {"host_ms": 1.0}])
def test_a_quiet_or_unknown_device_disturbs_nothing(state):
    assert disturbances(repetitions(state=state), state) == [[]] * len(TPOTS)


@pytest.mark.parametrize("name", SIGNS)
def test_every_sign_marks_its_repetition_and_no_other(name):
    changes, word = SIGNS[name]
    found = reasons_with(3, "after", **changes)
    assert [len(reasons) for reasons in found] == [0, 0, 0, 1, 0]
    assert word in found[3][0]


def test_another_process_before_the_timing_counts_too_but_an_idle_clock_does_not():
    assert reasons_with(1, "before", other_processes=2)[1]
    assert not any(reasons_with(1, "before", sm_clock_mhz=345.0))


@pytest.mark.parametrize("bits", [0x1, 0x2, 0x4, 0x100])
def test_idling_clock_settings_and_the_power_cap_are_no_slowdown(bits):
    assert not any(reasons_with(0, "after", clock_event_bits=bits))


@pytest.mark.parametrize(
    ("tpots", "slow"),
    [
        ([1.0, 1.0, 1.0, 1.0, 1.2], [4]),  # 20 % above, no spread
        ([1.0, 1.0, 1.0, 1.0, 1.09], []),  # within 10 %
        ([1.0, 1.1, 0.9, 1.2, 1.4], []),  # within 5 MAD of 0.1
        ([1.0, 1.1, 0.9, 1.2, 1.7], [4]),
        ([1.0, 1.0, 1.0, 1.0, 0.5], []),  # faster is no sign of company
    ],
)
def test_only_a_repetition_far_above_the_median_is_an_outlier(tpots, slow):
    found = disturbances(repetitions(tpots), CLEAN)
    assert [index for index, reasons in enumerate(found) if reasons] == slow


@pytest.mark.parametrize(
    ("tpots", "hosts", "slow"),
    [
        ([20, 31, 33], [1.0, 1.6, 1.6], [1, 2]),  # the median is no measure where most waited
        ([20, 31, 33], [1.0, 1.0, 1.0], []),  # slower for another reason
        ([1.5, 1.5, 1.6], [1.0, 1.6, 1.6], []),  # did not wait for the host
        ([20, 31, 33], [1.0, 1.05, 1.6], [2]),
    ],
)
def test_a_repetition_that_waited_for_a_slower_host_is_disturbed(tpots, hosts, slow):
    timed = repetitions(tpots)
    for repetition, own_ms in zip(timed, hosts, strict=True):
        repetition["state"] = {when: CLEAN | {"host_ms": own_ms} for when in ("before", "after")}
    found = disturbances(timed, CLEAN)
    assert [index for index, reasons in enumerate(found) if reasons] == slow
    assert all("host more than 10% slower" in found[index][-1] for index in slow)


def test_points_are_compared_with_themselves():
    assert not any(
        disturbances(repetitions([1.0] * 5, point=512) + repetitions([9.0] * 3, point=8192), CLEAN)
    )


def test_a_cpu_that_was_loaded_at_the_start_disturbs_the_whole_run():
    timed = repetitions(
        state={"host_ms": 1.0, "load_average": 3.0 * os.cpu_count()}
    )  # the run itself loads it later
    assert not any(disturbances(timed, {"load_average": 0.5}))
    assert all("load average" in reasons[0] for reasons in disturbances(timed, {"load_average": 1e3}))
    state = read_state(torch.device("cpu"))
    assert state["load_average"] >= 0 and state["host_ms"] > 0


@pytest.fixture
def smi(monkeypatch):
    """Answers of nvidia-smi by a word of the question; anything else is refused."""
    answers = {}

    def output(*command, **_):
        return next((answer for word, answer in answers.items() if word in " ".join(command)), None)

    properties = type("Properties", (), {"uuid": "1234"})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (90 << 30, 100 << 30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 9 << 30)
    monkeypatch.setattr(environment, "try_run", output)
    return answers


NUMBERS = "1980, 2619, 512.3, 700.00, 41, 100"


@pytest.mark.parametrize("name", ["clocks_event_reasons.active", "clocks_throttle_reasons.active"])
def test_the_state_of_a_gpu_is_read_from_new_and_old_drivers(smi, name):
    smi |= {name: f"{NUMBERS}, 0x0000000000000020", "compute-apps": "17\n23"}
    state = read_state(torch.device("cuda"))
    assert (state["sm_clock_mhz"], state["power_limit_w"], state["clock_event_bits"]) == (1980, 700, 0x20)
    assert state["other_processes"] == 1
    assert state["other_memory_bytes"] == 1 << 30 and state["host_ms"] > 0


def test_this_process_alone_or_hidden_is_no_other_process(smi):
    for listed in ("17", ""):
        smi["compute-apps"] = listed
        assert read_state(torch.device("cuda"))["other_processes"] == 0


@pytest.mark.parametrize(
    "answer", [None, "", "[N/A], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A]", "Unable to reach the driver"]
)
def test_what_a_driver_does_not_tell_is_null(smi, answer):
    smi["query-gpu"] = answer
    state = read_state(torch.device("cuda"))
    assert all(
        state[name] is None for name in (*interference.GPU_FIELDS, "clock_event_bits", "other_processes")
    )


def test_the_environment_names_versions_driver_and_limits(smi, monkeypatch):
    properties = {"name": "NVIDIA H200", "total_memory": 1, "major": 9, "minor": 0, "uuid": "1234"}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("Properties", (), properties))
    smi["driver_version"] = "580.65.06, 1980, 3201, [N/A]"
    record = environment.environment("cuda")
    assert {"torch", "transformers", "triton", "cuda", "host", "host_cores"} <= set(record)
    assert (record["driver"], record["max_sm_clock_mhz"], record["power_limit_w"]) == (
        "580.65.06",
        1980,
        None,
    )


def test_a_datasheet_is_never_guessed():
    assert datasheet_bandwidth("NVIDIA H200") == 4.8e12
    assert datasheet_bandwidth("NVIDIA H200 MIG 1g.18gb") is None
    assert datasheet_bandwidth("CPU (NVIDIA Grace)") is None


def test_the_hosts_yardstick_is_taken_before_and_after():
    assert host_ms({"before": {"host_ms": 1.0}, "after": {"host_ms": 4.0}}) == 2.5
