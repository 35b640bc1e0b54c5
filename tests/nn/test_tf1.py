"""What is withheld from TensorFlow while it is imported is there again afterwards."""

import sys

import pytest

from jointpose.nn import tf1


def test_withheld_modules_are_there_again(monkeypatch):
    import json.tool  # one that is there already stays

    monkeypatch.delitem(sys.modules, 'colorsys', raising=False)
    with tf1.withheld('colorsys', 'json.tool'):
        assert sys.modules['json.tool'] is json.tool
        with pytest.raises(ImportError):
            import colorsys
    import colorsys

    assert colorsys.rgb_to_hls(0, 0, 0) == (0, 0, 0)
