"""Operators against values that PyTorch gave (recorded.py): results of floats, integers and complex numbers,
gradients."""
import warnings

import pytest
from recorded import called, compare, read

import rushlight

RECORDS = read()


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_values_are_those_of_pytorch(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for record in RECORDS[name]:
            results, grads = called(record, rushlight)
            compare(results, record["results"], f"{name}: result")
            if grads is not None:
                compare(grads, record["grads"], f"{name}: gradient")
