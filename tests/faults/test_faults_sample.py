"""A short sample of each fault that `make faults` injects."""

import pytest
from faults import all_faults

SAMPLES = [
    pytest.param(fault, number, id=f"{fault.name}-{number}") for fault in all_faults() for number in range(fault.sample)
]


@pytest.mark.parametrize(("fault", "number"), SAMPLES)
def test_nothing_goes_wrong(fault, number, tmp_path):
    assert fault.trial(number, tmp_path) == ""
