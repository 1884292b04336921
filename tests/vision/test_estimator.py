import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import check_estimator

from gedi_nesy.errors import UserError
from gedi_nesy.vision.estimator import GEDIClustering

QUICK = {"restarts": 2, "steps": 150, "density_steps": 20, "random_state": 0}


@pytest.fixture(scope="module")
def fitted():
    x, y = make_blobs(150, centers=[(-3, 0), (3, 0), (0, 4)], cluster_std=0.3, random_state=0)
    return GEDIClustering(3, **QUICK).fit(x), x, y


def test_it_finds_blobs_and_says_so(fitted):
    model, x, y = fitted
    assert adjusted_rand_score(y, model.labels_) == 1
    assert (model.predict(x) == model.labels_).all()
    assert (model.predict_proba(x).argmax(1) == model.labels_).all()
    assert model.certificate_["D"] < 0.05


def test_the_density_is_higher_at_the_points_than_away_from_them(fitted):
    model, x, _ = fitted
    assert model.score_samples(x).shape == (150,)
    samples, labels = model.sample(40)
    assert samples.shape == (40, 2)
    assert (labels == model.predict(samples)).all()
    assert np.array_equal(samples, model.sample(40)[0])


def test_without_density_steps_there_is_nothing_to_sample_or_to_score(fitted):
    model = GEDIClustering(3, **QUICK | {"density_steps": 0}).fit(fitted[1])
    for ask in (lambda: model.sample(2), lambda: model.score_samples(fitted[1])):
        with pytest.raises(ValueError, match="density_steps above 0"):
            ask()


def test_an_empty_cluster_is_said(monkeypatch):
    monkeypatch.setattr("gedi_nesy.vision.estimator.FEATURE_STEPS", 1)
    model = GEDIClustering(3, restarts=1, walk=1, neighbours=1, steps=1, density_steps=0, random_state=0)
    with pytest.warns(ConvergenceWarning, match=r"Only [12] of n_clusters=3 clusters have training points"):
        model.fit(np.eye(2)[np.arange(20) % 2])  # two different points are in two clusters at most


def test_a_sample_that_fails_leaves_no_mode_behind(fitted):
    model, x, _ = fitted
    for wrong in (-1, 0, 2.5, "2"):
        with pytest.raises(UserError, match="n_samples must be a whole number from 1 on"):
            model.sample(wrong)
    wild = copy.deepcopy(model)
    for parameter in wild.networks_.parameters():
        parameter.fill_(torch.nan)
    with pytest.raises(FloatingPointError):
        wild.sample(2)
    assert (model.predict(x) == model.labels_).all()


def test_one_thread_predicts_while_another_samples(fitted):
    model, x, _ = fitted
    with ThreadPoolExecutor(2) as pool:
        sampling = pool.submit(lambda: [model.sample(5, steps=20) for _ in range(10)])
        labels = [model.predict(x) for _ in iter(sampling.done, True)]
        samples = sampling.result()
    assert all((found == model.labels_).all() for found in labels)
    assert all(np.array_equal(drawn, samples[0][0]) for drawn, _ in samples)


def test_another_default_type_changes_nothing(fitted):
    few = {"restarts": 1, "steps": 20, "density_steps": 5, "random_state": 0}
    expected = GEDIClustering(3, **few).fit(fitted[1])
    torch.set_default_dtype(torch.float64)
    try:
        model = GEDIClustering(3, **few).fit(fitted[1])
        assert torch.get_default_dtype() is torch.float64
        drawn, _ = model.sample(3, steps=2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.array_equal(model.predict_proba(fitted[1]), expected.predict_proba(fitted[1]))
    assert np.array_equal(drawn, expected.sample(3, steps=2)[0])


@pytest.mark.parametrize("wrong", [{"n_clusters": "2"}, {"restarts": 1.5}, {"steps": True}, {"noise": "x"}])
def test_a_setting_that_is_no_number_is_named(wrong, fitted):
    (name,) = wrong
    with pytest.raises(UserError, match=f"{name} must be a"):
        GEDIClustering(**wrong).fit(fitted[1])


@pytest.mark.filterwarnings("ignore:Only . of n_clusters")
def test_scikit_learn_s_own_checks(monkeypatch):
    monkeypatch.setattr("gedi_nesy.vision.estimator.FEATURE_STEPS", 60)
    few = GEDIClustering(restarts=1, walk=64, steps=60, density_steps=2, random_state=0)  # it fits some fifty times
    results = check_estimator(few, on_fail=None, on_skip=None)
    others = {check["check_name"]: check["status"] for check in results if check["status"] != "passed"}
    # It can't apply: scikit-learn runs it only with SCIPY_ARRAY_API set, and torch takes numpy's arrays here.
    assert others == {"check_array_api_input": "skipped"}
