"""What a refresh recovers is against one streaming cache at the full budget."""

import pandas as pd
import synthetic
from sinkbench.analysis.recovery import recovered
from sinkbench.analysis.select import matching


def test_a_control_in_another_number_format_is_no_second_full_budget():
    frame = synthetic.whole()
    control = matching(frame, method="streaming-4+508", metric="perplexity").assign(
        method="streaming-4+508-float16", dtype="float16", family="quantization"
    )
    both = pd.concat([frame, control], ignore_index=True)
    for pooled in (True, False):
        found = recovered(frame, pooled)
        assert len(found) and len(found) == len(recovered(both, pooled))
