"""A study without quantized runs has no gains, and its figure of them says so."""

import pytest
import synthetic
from sinkbench.analysis.quantization_gains import gains
from sinkbench.analysis.select import NotMeasured


def test_speed_ups_of_plain_runs_are_no_gains_of_a_format():
    measurements = synthetic.measurements()
    assert (measurements["metric"] == "speedup").any()
    with pytest.raises(NotMeasured):
        gains(measurements)


def test_a_quantized_run_gains_over_its_plain_twin():
    assert len(gains(synthetic.measurements(quantized=True)))
