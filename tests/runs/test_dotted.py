from gedi_nesy.runs.dotted import flatten


def test_flatten_by_hand():
    assert flatten({"a": 1, "b": {"c": [2], "d": {"e": 3}}, "f": {}}) == {"a": 1, "b.c": [2], "b.d.e": 3}
