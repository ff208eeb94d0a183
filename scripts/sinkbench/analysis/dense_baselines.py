"""The dense runs that speed-ups are over, the strongest question first.

1. The best that transformers offers: its fastest run. What a user of it would gain.
2. The fastest dense run on any engine. What the policy itself gains, whoever decodes.
3. Transformers as it comes, as most people run it.
"""

from dataclasses import dataclass

import pandas as pd

from sinkbench.analysis.estimate import Estimate, estimate, exact, product, ratio
from sinkbench.analysis.quantization_gains import PLAIN
from sinkbench.analysis.select import RUN, at_common_point, matching, run_name, single_stream

TRANSFORMERS = "hf"  # the engine that is transformers as it comes; names of its others begin so


@dataclass(frozen=True)
class Baseline:
    """A dense run of one stream.

    Args:
        name: of the run (select.run_name).
        times: its rows of tpot_ms, one for each point.
    """

    name: str
    times: pd.DataFrame

    @property
    def heading(self) -> str:
        """Of a column of speed-ups."""
        return f"Speed-up over {self.name} [x]"

    def speedup(self, valid: pd.DataFrame, time: dict) -> Estimate | str:
        """Tokens a second of a run over the baseline's, at the run's own point; nothing if it has none there.

        As recorded, where the study compares the two; or else from both times, with the joined ends of
        their intervals. A recomputed cache takes the same time everywhere, and meets the longest context.

        Args:
            valid: usable measurements.
            time: the run's row of tpot_ms.
        """
        if run_name(time) == self.name:
            return Estimate(1.0)
        own = {name: time[name] for name in (*RUN, "position")}
        recorded = matching(valid, metric="speedup", against=self.name, **own)
        if len(recorded):
            return estimate(recorded.iloc[0].to_dict())
        of_budget = time["position_kind"] == "budget"
        same = self.times if of_budget else matching(self.times, position=time["position"])
        if same.empty:
            return ""
        base = estimate(same.sort_values("position").iloc[-1].to_dict())
        return product(exact(float(time["batch"])), ratio(base, estimate(time)))


def dense_baselines(valid: pd.DataFrame) -> list[Baseline]:
    """The baselines in order, each run once; those that were not timed are left out."""
    dense = single_stream(matching(valid, metric="tpot_ms", policy="dense", quantization=PLAIN))
    of_transformers = dense[dense["engine"].astype(str).str.startswith(TRANSFORMERS)]
    found = _fastest(of_transformers), _fastest(dense), matching(dense, engine=TRANSFORMERS)
    baselines = [Baseline(run_name(times.iloc[0]), times) for times in found if len(times)]
    return list({baseline.name: baseline for baseline in baselines}.values())


def _fastest(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the run that is fastest where most of them were timed."""
    shared = at_common_point(rows)
    shared = shared[shared["position"] == shared["position"].mode().max()]
    ranked = shared.sort_values("value", kind="stable")
    return matching(rows, engine=ranked["engine"].iloc[0]) if len(ranked) else rows
