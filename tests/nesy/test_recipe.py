import pytest

from gedi_nesy.errors import UserError
from gedi_nesy.methods import WITH_RULE
from gedi_nesy.nesy.recipe import load_recipe, recipe_for, recipe_names
from gedi_nesy.runs.settings import parse_setting


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_being_written_and_read(name, tmp_path):
    recipe = load_recipe(name)
    assert recipe.recipe == name
    (tmp_path / "config.toml").write_text(recipe.to_toml())
    assert load_recipe(str(tmp_path / "config.toml")) == recipe


def test_the_paper_recipe_is_table_9():
    recipe = load_recipe("paper-addition-1000")
    weights = recipe.train.weights
    assert (recipe.train.epochs, recipe.train.batch, recipe.train.l2, recipe.train.noise) == (100, 20, 1e-4, 0.2)
    assert [w(0.5) for w in (weights.gen, weights.nesy, weights.prior, weights.inv)] == [1, 25, 400, 0]
    assert (recipe.sampler.steps, recipe.sampler.step_size, recipe.sampler.noise) == (20, 1.0, 0.01)
    assert (recipe.sampler.buffer, recipe.sampler.reinit) == (10_000, 0.05)
    assert recipe.train.length(1000, 3) == 100 * 50  # 1000 triples in batches of 20


def test_methods_find_their_recipes():
    ours = {n: recipe_for("gedi+nesy", n) for n in (30, 300, 301, 1000, 5000)}
    few, many = "gedi-nesy-few", "gedi-nesy-many"
    assert ours == {30: few, 300: few, 301: "gedi-nesy", 1000: "gedi-nesy", 5000: many}
    for method in WITH_RULE[1:]:
        for examples in (100, 1000, 10000):
            recipe = load_recipe(recipe_for(method, examples))
            assert (recipe.method, recipe.examples) == (method, examples)
    with pytest.raises(UserError, match="100, 1000 or 10000 examples, not on 250"):
        recipe_for("paper", 250)
    with pytest.raises(UserError, match="--recipe swav-nesy-addition-1000 --examples 250"):
        recipe_for("swav+nesy", 250)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"train.learnin_rate": 1.0}, "no setting 'train.learnin_rate' \\(did you mean 'train.learning_rate'"),
        ({"exampels": 5}, "no setting 'exampels' \\(did you mean 'examples'"),
        ({"examples": 0}, "examples = 0"),
        ({"threads": 1_000_000}, "threads = 1000000: input should be less than or equal to 1024"),
        ({"seed": 12345678901234567890}, "seed is larger than 2,147,483,647"),
        ({"sampler.noise": float("inf")}, "noise = inf: input should be a finite number"),
        ({"sampler.step_size": float("nan")}, "step_size = nan"),
        ({"student.learning_rate": -0.001}, "learning_rate = -0.001: weights and learning rates are 0 or more"),
        ({"student.weights.gen": [[0.0, 1.0], [1.0, -1.0]]}, "weights and learning rates are 0 or more"),
        ({"train.batch": "many"}, "train.batch = 'many'"),
        ({"seed.x": 1}, "'seed' is a value"),
        ({"train.weights.prior": [[0.9, 1.0], [0.1, 2.0]]}, "order of progress"),
        ({"train.epochs": 3}, "either steps or epochs"),
    ],
)
def test_a_bad_setting_is_one_sentence(overrides, sentence):
    with pytest.raises(UserError, match=sentence) as found:
        load_recipe("gedi-nesy", {"seed": 0} | overrides)
    assert "\n" not in str(found.value)


def test_an_unknown_recipe_is_met_with_the_nearest():
    with pytest.raises(UserError, match="no recipe 'gedi-nsy' \\(did you mean 'gedi-nesy'"):
        load_recipe("gedi-nsy")


def test_settings_on_the_command_line_are_toml_values_or_strings():
    assert parse_setting("train.learning_rate=1e-4") == ("train.learning_rate", 1e-4)
    assert parse_setting("train.weights.prior=[[0, 400], [1, 40]]")[1] == [[0, 400], [1, 40]]
    assert parse_setting("train.prior=entropy") == ("train.prior", "entropy")
    with pytest.raises(UserError, match="not key=value"):
        parse_setting("seed")


def test_a_warp_that_is_on_or_off_is_that_of_an_older_run():
    recipe = load_recipe("gedi-nesy", {"train.warp": False, "student.warp": True})
    assert (recipe.train.warp, recipe.last.warp) == (0.0, 1.0)


def test_matching_is_a_teacher():
    with pytest.raises(UserError, match=r"cycles that forget their names must be 1"):
        load_recipe("gedi-nesy-few", {"cycles": 3})
    with pytest.raises(UserError, match=r"goes with \[matching\]"):
        load_recipe("gedi-nesy-restarts", {"train.weights.teacher": 25})


@pytest.mark.parametrize(
    ("installed", "device", "engine"), [(True, "cpu", "numba"), (True, "cuda", "torch"), (False, "cpu", "torch")]
)
def test_the_engine_is_the_fastest_there_is(installed, device, engine, monkeypatch):
    monkeypatch.setattr("gedi_nesy.nesy.recipe.find_spec", lambda name: object() if installed else None)
    assert load_recipe("gedi-nesy", {"device": device}).sampler.engine == engine
    assert load_recipe("gedi-nesy", {"device": device, "sampler.engine": "torch"}).sampler.engine == "torch"


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        ({"a": 'base = "A"'}, r"a.toml is a base of its own"),
        ({"a": 'base = ["gedi-nesy", "B"]', "b": 'base = "A"'}, r"a.toml is a base of its own"),
        ({"a": "base = 5"}, r"has base = 5; give a recipe's name"),
        ({"a": "base = [1]"}, r"has base = \[1\]"),
        ({"a": 'base = "gedi-nesy"\ntrain = 5'}, r"train = 5"),
        ({"a": f"x = {'[' * 5000}"}, r"is not valid TOML"),
        ({"a": f"x = {'1' * 5000}"}, r"is not valid TOML"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_one_sentence(texts, sentence, tmp_path):
    for name, text in texts.items():
        for other in texts:
            text = text.replace(f'"{other.upper()}"', f'"{tmp_path}/{other}.toml"')
        (tmp_path / f"{name}.toml").write_text(text)
    with pytest.raises(UserError, match=sentence):
        load_recipe(str(tmp_path / "a.toml"))
