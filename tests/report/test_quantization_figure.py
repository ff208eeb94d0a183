"""A study without quantized runs has no figure of when they pay."""

import pytest
import synthetic
from sinkbench.analysis.select import NotMeasured
from sinkbench.report.figures.quantization import draw


def test_speed_ups_of_plain_runs_alone_are_nothing_to_draw():
    measurements = synthetic.measurements()
    assert (measurements["metric"] == "speedup").any()
    with pytest.raises(NotMeasured):
        draw(measurements, {})
