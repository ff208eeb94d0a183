"""Why a result is as it is, said from what was measured beside it."""

import pandas as pd
import pytest
from sinkbench.analysis.claims import judge
from synthetic import edited, whole

FULL = "streaming-4+508"
SLOW_HOSTS = {"int8_slow": {"quantization": "torchao_int8"}, "compile_gain": {"engine": "compiled_tuned"}}


@pytest.mark.parametrize("word", SLOW_HOSTS)
@pytest.mark.parametrize("own_ms, said", [(0.60, "2.40 ["), (0.26, None), (0.10, "0.40 [")])
def test_a_cause_names_the_host_where_it_was_noticeably_slower_or_faster(word, own_ms, said):
    frame = whole()
    hosts = edited(frame[frame.metric == "tpot_ms"].assign(metric="host_ms"), "host_ms", 0.25, 0.01)
    frame = pd.concat([frame, edited(hosts, "host_ms", own_ms, 0.01, **SLOW_HOSTS[word])])
    cause = judge(word, frame).cause
    assert f"the host took {said}" in cause or not said
    assert ("for the same Python" in cause) == (said is not None)


def test_a_kernel_that_plans_for_every_length_shows_where_the_cache_grows():
    frame = whole()
    assert "grows" not in judge("stable_shapes", frame).cause
    stock = frame[(frame.metric == "tpot_ms") & (frame.method == "dense") & (frame.engine == "hf")]
    times = {"eager": 9.0, "eager_flash": 3.0}
    dense = [edited(stock.assign(engine=engine), "tpot_ms", ms, 0.01) for engine, ms in times.items()]
    farther = dense[0].tail(1).assign(position=99_999, value=50.0)  # where flash was not timed
    grows, keeps = judge("stable_shapes", pd.concat([frame, *dense, farther])).cause.split("; ")[-2:]
    assert "(dense.eager), a token takes 9.00" in grows and grows.endswith("3.00 [2.99, 3.01] times as long")
    own = frame[(frame.metric == "tpot_ms") & (frame.method == FULL)].set_index("engine")["value"]
    chosen, flash = own["eager"].iloc[-1], own["eager_flash"]
    assert f"({FULL}.eager), a token takes {chosen:.2f}" in keeps
    assert f"{flash:.2f}" in keeps and f"{chosen / flash:.2f} [" in keeps
