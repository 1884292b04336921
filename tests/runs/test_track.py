"""What kind of run a run is."""

import pytest

from gedi_nesy.errors import UserError
from gedi_nesy.runs.folder import RunFolder
from gedi_nesy.runs.track import track_of


@pytest.mark.parametrize(
    ("settings", "track"),
    [
        ({"track": "images", "program": "addition"}, "images"),
        ({"program": "addition"}, "rule"),  # what older runs wrote
        ({"network": {}, "augment": {}}, "images"),
        ({"network": {}}, "points"),
    ],
)
def test_a_runs_settings_say_its_track(settings, track):
    assert track_of(settings) == track


@pytest.mark.parametrize(
    ("config", "tracks", "sentence"),
    [
        ('track = "rule"', ["points", "images"], "is a run on a rule"),
        ('program = "addition"', ["points", "images"], "is a run on a rule"),
        ('track = "images"', ["rule"], "is a run of the vision track"),
        ("[network]", ["rule"], "is a run of the vision track"),
    ],
)
def test_a_run_of_another_track_is_refused(config, tracks, sentence, tmp_path):
    (tmp_path / "config.toml").write_text(config)
    with pytest.raises(UserError, match=sentence):
        RunFolder.open(tmp_path, tracks)
    RunFolder.open(tmp_path)
