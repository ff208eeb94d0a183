"""Why a result is as it is, said from what was measured beside it."""

import pandas as pd
import pytest
from sinkbench.claims import judge
from synthetic import edited
from test_claims import whole

SLOW_HOSTS = {"int8_slow": {"quantization": "torchao_int8"}, "compile_gain": {"engine": "compiled_tuned"}}


@pytest.mark.parametrize("word", SLOW_HOSTS)
@pytest.mark.parametrize("own_ms, said", [(0.60, "2.40 times as long"), (0.26, None), (0.10, "0.40 times")])
def test_a_cause_names_the_host_where_it_was_noticeably_slower_or_faster(word, own_ms, said):
    frame = whole()
    hosts = edited(frame[frame.metric == "tpot_ms"].assign(metric="host_ms"), "host_ms", 0.25, 0.01)
    frame = pd.concat([frame, edited(hosts, "host_ms", own_ms, 0.01, **SLOW_HOSTS[word])])
    cause = judge(word, frame).cause
    assert (said or "") in cause and ("for the same Python" in cause) == (said is not None)
