"""The names of the methods: one for each term of the family, and a recipe behind each."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from gedi_nesy.cli import main
from gedi_nesy.core.terms import TERMS, like
from gedi_nesy.errors import UserError
from gedi_nesy.methods import FAMILY, PUBLISHED, WITH_RULE, WITHOUT_RULE
from gedi_nesy.nesy import recipe as nesy
from gedi_nesy.vision import recipe as vision

FEW = ["examples=60", "restarts=1", "view.walk=4", "pretrain.steps=2", "train.steps=2", "refine.steps=2"]
NEW = [name for name in WITHOUT_RULE if name not in PUBLISHED]


def test_the_family_is_the_terms_that_compare_two_views():
    assert set(FAMILY) == {name for name, term in TERMS.items() if term.loss}
    for name in FAMILY:
        assert {name, f"{name}+gen"} <= set(WITHOUT_RULE)
        assert f"{name}+nesy" in WITH_RULE


def test_names_of_methods_need_no_torch():
    code = "import sys, gedi_nesy.methods; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["train", "--method", "infonce+nsy"], "did you mean 'infonce+nesy'?"),
        (["compare", "--methods", "nesy,vicrg+nesy"], "did you mean 'vicreg+nesy'?"),
        (["vision", "train", "--method", "vicreg+gn"], "did you mean 'vicreg+gen'?"),
        (["vision", "compare", "--methods", "gedi,wms"], "did you mean 'wmse'?"),
    ],
)
def test_an_unknown_method_is_met_with_the_nearest(command, sentence):
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert sentence in result.output.replace("\n", " ")


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("examples", [100, 1000, 10000])
def test_beside_a_rule_a_member_has_the_settings_of_its_like(name, examples):
    recipe = nesy.load_recipe(nesy.recipe_for(f"{name}+nesy", examples))
    other = nesy.load_recipe(nesy.recipe_for(f"{like(name)}+nesy", examples))
    assert (recipe.method, recipe.examples) == (f"{name}+nesy", examples)
    assert (recipe.train.epochs, recipe.head) == (other.train.epochs, other.head)
    assert set(recipe.train.weights.always()) == {"nesy", name}


@pytest.mark.parametrize("method", NEW)
@pytest.mark.parametrize("dataset", [None, "cifar10", "cifar100", "svhn", "digits"])
def test_without_a_rule_the_last_stage_has_the_member_and_l_gen(method, dataset):
    recipe = vision.load_recipe(vision.recipe_for(method, dataset=dataset))
    name, _, gen = method.partition("+")
    last = recipe.refine or recipe.train
    assert recipe.method == method
    assert set(last.weights.always()) == {name} | ({"gen"} if gen else set())
    assert (recipe.track == "images") == (dataset is not None)
    if dataset:
        paper = vision.load_recipe(vision.recipe_for(like(name), dataset=dataset))
        assert (recipe.network.encoder, recipe.augment) == (paper.network.encoder, paper.augment)
        assert recipe.train.steps == paper.train.steps


def test_the_paper_has_no_settings_for_the_rest_of_the_family():
    with pytest.raises(UserError, match="The paper does not train vicreg; leave out --published"):
        vision.recipe_for("vicreg", published=True)
    with pytest.raises(UserError, match=r"--recipe barlow-nesy-addition-1000,family/vicreg --examples 250"):
        nesy.recipe_for("vicreg+nesy", 250)
    assert nesy.load_recipe("barlow-nesy-addition-1000,family/vicreg", {"examples": 250}).train.epochs == 100


@pytest.mark.parametrize(
    ("command", "settings", "methods"),
    [
        (["compare", "--examples", "100"], ["dataset=digits", "train.epochs=1"], ["infonce+nesy", "protocpc+nesy"]),
        (["vision", "compare", "--datasets", "moons"], FEW, ["vicreg", "ebclr+gen"]),
    ],
)
@pytest.mark.usefixtures("no_pictures")
def test_a_comparison_trains_them_all(command, settings, methods, tmp_path):
    options = [text for setting in settings for text in ("--set", setting)]
    options += ["--methods", ",".join(methods), "--seeds", "1", "--jobs", "1", "--out", str(tmp_path), "--json"]
    result = CliRunner().invoke(main, [*command, *options])
    assert result.exit_code == 0, result.output
    lines = json.loads(result.stdout)["table"]
    assert [(line["method"], line["finished"]) for line in lines] == [(method, 1) for method in methods]
