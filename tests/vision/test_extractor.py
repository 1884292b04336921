"""What features come from, and what figures of them may be called."""

import hashlib

import pytest
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gedi_nesy.errors import UserError
from gedi_nesy.vision import classifier
from gedi_nesy.vision.classifier import load_classifier, measure_accuracy, train_classifier
from gedi_nesy.vision.extractor import classifier_extractor, inception_extractor
from tests.vision.tiny import tiny_images


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("gedi_nesy.vision.classifier.cache_folder", lambda: tmp_path)
    return tmp_path / "classifiers"


def test_the_classifier_learns_the_labels_and_always_the_same():
    images = tiny_images(train=1000)
    torch.manual_seed(1)  # the global generator has no say
    net = train_classifier(images, epochs=3)
    assert measure_accuracy(net, images) > 0.95
    assert not net.training
    torch.manual_seed(2)
    again = train_classifier(images, epochs=3)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


def test_it_is_trained_once_for_each_training_set(cache, monkeypatch):
    images = tiny_images()
    first = load_classifier(images)
    monkeypatch.setattr(classifier, "train_classifier", None)  # from now on nothing can be trained
    second = load_classifier(images)
    assert (second.key, second.accuracy) == (first.key, first.accuracy)
    assert first.key.startswith("tiny-")
    assert torch.equal(second.net(images.x_test), first.net(images.x_test))
    with pytest.raises(TypeError):
        load_classifier(tiny_images(train=301))  # another training set


def test_a_damaged_file_is_named(cache):
    key = load_classifier(tiny_images()).key
    (cache / f"{key}.safetensors").write_bytes(b"no tensors")
    with pytest.raises(UserError, match=f"{key}.safetensors is damaged; delete it"):
        load_classifier(tiny_images())


def test_the_classifiers_figures_are_never_called_fid(cache):
    images = tiny_images()
    extractor = classifier_extractor(images)
    assert (extractor.frechet, extractor.kernel) == ("FD(classifier)", "KD(classifier)")
    assert set(extractor.facts) == {"key", "accuracy", "weights"}
    features = extractor(images.x_test)
    assert features.shape == (200, 128)
    torch.testing.assert_close(features[:3], load_classifier(images).net.features(images.x_test[:3]))


def test_inception_comes_from_a_file_and_gives_fid(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # random weights instead of a download
        patch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", lambda *a, **k: {})
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    torch.save(net.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match="does not hold the weights of Inception"):  # in its format, but random
        inception_extractor(tmp_path / "weights.pth")
    digest = hashlib.sha256((tmp_path / "weights.pth").read_bytes()).hexdigest()
    monkeypatch.setattr("gedi_nesy.vision.extractor.INCEPTION", digest)
    extractor = inception_extractor(tmp_path / "weights.pth")
    assert (extractor.name, extractor.frechet, extractor.kernel) == ("inception", "FID", "KID")
    grey = torch.randint(256, (1, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    torch.testing.assert_close(extractor(grey), net(grey.expand(1, 3, 8, 8))[0])
    assert extractor(grey).shape == (1, 2048)


def test_files_that_are_not_inceptions_are_refused(tmp_path):
    with pytest.raises(UserError, match="no file"):
        inception_extractor(tmp_path / "weights.pth")
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="does not hold the weights of Inception"):
        inception_extractor(tmp_path / "other.pth")
