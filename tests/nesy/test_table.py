import pytest
import torch
from PIL import Image
from torch import nn

from gedi_nesy.data.scale import SCALES
from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint
from gedi_nesy.nesy.batch import Loader
from gedi_nesy.nesy.cards import show_examples
from gedi_nesy.nesy.credible import credibility
from gedi_nesy.nesy.evaluate import fit_to_rule
from gedi_nesy.nesy.recipe import load_recipe
from gedi_nesy.nesy.rows import score_rows
from gedi_nesy.nesy.run import load_run
from gedi_nesy.nesy.table import read_table
from gedi_nesy.nesy.train import train


@pytest.fixture(scope="module")
def given_sum():
    return Constraint.from_file("addition_sum", arguments=("S",))


@pytest.fixture
def folder(tmp_path):
    return with_images(tmp_path)


def with_images(folder):
    """The folder, with flat images 0.png ... 9.png of brightness 20 k."""
    (folder / "images").mkdir()
    for k in range(10):
        Image.new("L", (28, 28), 20 * k).save(folder / "images" / f"{k}.png")
    return folder


def write(folder, text):
    path = folder / "table.csv"
    path.write_text(text)
    return path


def test_a_table_gives_images_and_arguments(folder, given_sum):
    table = write(folder, "S,X,Y\n7,images/3.png,images/4.png\n3, images/3.png,images/0.png\n")
    examples = read_table(table, given_sum)
    assert [given_sum.answers[number] for number in examples.answers] == [(7,), (3,)]
    assert [examples.pool[row, 0, 0, 0].item() for row in examples.rows["X"]] == [60, 60]
    assert [examples.pool[row, 0, 0, 0].item() for row in examples.rows["Y"]] == [80, 0]
    assert examples.pool.dtype == torch.uint8
    assert len(examples.pool) == 3


def test_an_argument_may_be_a_fraction_or_a_list(folder):
    rule = Constraint(
        "nn(digits,[X],Y,[0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y). "
        "both(X,Y,[A,B],M) :- digit(X,A), digit(Y,B), M is (A+B)/2.0.",
        query="both(X,Y,L,M)",
        arguments=("L", "M"),
    )
    table = write(folder, 'X,Y,L,M\nimages/3.png,images/4.png,"[3, 4]",3.5\n')
    (number,) = read_table(table, rule).answers
    assert rule.answer_of(number) == ((3, 4), 3.5)


def test_a_rule_s_own_names_come_before_numbers_and_may_be_written_as_in_the_program(folder):
    rule = Constraint(
        "nn(digits,[X],Y,[0,1,2,3]) :: digit(X,Y). v(0,inf). v(1,'007'). v(2,'Big Bird'). v(3,who(cat)). "
        "named(X,N) :- digit(X,A), v(A,N).",
        query="named(X,N)",
        arguments=("N",),
    )
    names = ["inf", "007", "Big Bird", "'Big Bird'", "who( cat )"]
    table = write(folder, "X , N \n" + "\n".join(f"images/1.png , {name} " for name in names))
    found = [rule.answer_of(number)[0] for number in read_table(table, rule).answers]
    assert found == ["inf", "007", "Big Bird", "Big Bird", "who(cat)"]


def test_an_answer_that_the_open_rule_misses_is_not_called_impossible(folder):
    program = "nn(digits,[X],Y,[0,1]) :: digit(X,Y). p(X,N) :- digit(X,A), A @=< N."
    with pytest.raises(UserError, match=r"line 2: p\(X,1\) has an answer, but the rule does not find it"):
        read_table(write(folder, "X,N\nimages/1.png,1\n"), Constraint(program, "p(X,N)", ("N",)))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("X,Y\na.png,b.png\n", "no column 'S': its first line must name X, Y, S"),
        ("X,Y,S\nimages/1.png,,4\n", "line 2: no value for Y"),
        ("X,Y,S\n", "no examples"),
        (
            "X,Y,S\nimages/1.png,images/2.png,3\nimages/1.png,images/2.png,25\n",
            "line 3: the rule is impossible for S = 25; possible are 0, 1, 2, 3, 4, 5, 6, 7, ...",
        ),
        ("X,Y,S\nimages/1.png,images/2.png,'3'\n", "line 2: the rule is impossible for S = \"'3'\"; possible are 0, 1"),
        ("X,Y,S\nimages/1.png,images/2.png,three (3)\n", "line 2: the rule is impossible for S = 'three \\(3\\)'"),
        ("X,Y,S ,S\nimages/1.png,images/2.png,3,4\n", "has 2 columns 'S'"),
        ("X;Y;S\nimages/1.png;images/2.png;3\n", "X, Y, S, with commas between them"),
        ("X,Y,S\nimages/1.png,images/\0.png,3\n", "line 2: .* is not an image that can be read"),
        ("X,Y,S\nimages/1.png,images/2.png,[3\n", "line 2: the value of S:1:1: Unmatched"),
        ("X,Y,S\nimages/1.png,images/12.png,4\n", "line 2: There is no image file .*12.png"),
        ("X,Y,S\n\nimages/1.png,table.csv,4\n", "line 3: .*table.csv is not an image"),
        ("X,Y,S\nimages/1.png,images/2.png,3,4\n", "line 2: more values than columns"),
    ],
)
def test_what_is_missing_is_named(text, sentence, folder, given_sum):
    with pytest.raises(UserError, match=sentence):
        read_table(write(folder, text), given_sum)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few steps in a folder beside its table and images."""
    folder = with_images(tmp_path_factory.mktemp("table"))
    lines = [f"images/{a}.png,images/{b}.png,{a + b}" for a in range(10) for b in range(3)]
    table = write(folder, "\n".join(["X,Y,S", *lines]) + "\n")
    tiny = {"matching.chains": 8, "matching.sweeps": 5, "train.steps": 2, "student.steps": 2, "sampler.steps": 1}
    tiny["matching.separation"] = 0.0  # too few sweeps for symbols that separate
    return train(out=folder / "run", program="addition_sum", arguments=["S"], data=str(table), **tiny)


def test_a_run_trains_on_a_table_without_any_label(run):
    assert run.summary["examples"] == 30
    assert "accuracy" not in run.summary
    assert not (run.folder / "confusion.png").exists()
    assert len(load_run(run.folder.path).predict(torch.zeros(2, 28, 28, dtype=torch.uint8))) == 2
    assert run.summary["recipe"] == "gedi-nesy-few"  # as for so many examples of a data set
    assert run.summary["dataset"] == "table"
    report = (run.folder / "report.html").read_text()
    title = "<h1>GEDI-NeSy on table, 30 examples</h1>"
    for words in (title, "Rule satisfied", "Images by symbol", "Examples of the rule"):
        assert words in report


@pytest.fixture(scope="module")
def dark_and_light():
    """A rule of two equal images, and networks that see 0 in a dark one and 1 in a light one."""
    rule = Constraint("nn(bits,[X],Y,[0,1]) :: bit(X,Y). equal(X,Y) :- bit(X,A), bit(Y,A). query(equal(X,Y)).")
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 2))
    network.features = network[0]
    nn.init.zeros_(network[1].bias)
    network[1].weight.data = torch.tensor([[-1.0], [1.0]]).expand(2, 784) / 784  # logits -x and x, x in [-1, 1]
    return rule, nn.ModuleDict({"bits": network})


def test_some_rows_of_a_table_are_spread_over_it_for_it_may_be_sorted(folder, dark_and_light, loader):
    rule, _ = dark_and_light
    lines = [f"images/{k}.png,images/{9 - k}.png" for k in range(9)]
    examples = read_table(write(folder, "\n".join(["X,Y", *lines]) + "\n"), rule)
    few = Loader(examples, rule, SCALES["symmetric"], torch.device("cpu")).some(3)
    assert few.examples.lines == (2, 5, 8)
    assert few.rows["X"].tolist() == [examples.rows["X"][k] for k in (0, 3, 6)]
    assert loader.some(3).rows["X"].tolist() == loader.rows["X"][:3].tolist()  # drawn at random already


def test_rows_that_break_the_rule_come_first_then_the_least_likely(folder, dark_and_light):
    rule, networks = dark_and_light
    lines = ["X,Y", "images/1.png,images/1.png", "images/0.png,images/0.png", "images/0.png,images/9.png"]
    examples = read_table(write(folder, "\n".join(lines) + "\n\n"), rule)
    loader = Loader(examples, rule, SCALES["symmetric"], torch.device("cpu"))
    found = score_rows(networks, rule, loader, "test_")
    # line 4 is dark and light: 0.png is 0 / 255, 9.png 180 / 255; line 2 is greyer than line 3
    assert [(row["line"], row["breaks"]) for row in found["doubtful_rows"]] == [(4, True), (2, False), (3, False)]
    assert found["doubtful_rows"][0]["symbols"] == {"X": "0", "Y": "1"}
    assert found["break_the_rule"] == 1
    assert found["constraint_satisfaction"] == pytest.approx(2 / 3)
    p = torch.tensor([-1.0, 1.0]).mul(2).sigmoid()  # of a light image in line 3: x is -1
    assert found["doubtful_rows"][2]["log_prob"] == pytest.approx((p**2).sum().log().item(), abs=1e-5)


def test_rows_are_judged_by_credibility_where_a_stage_has_views(folder, dark_and_light):
    rule, networks = dark_and_light
    examples = read_table(write(folder, "X,Y\nimages/0.png,images/0.png\nimages/5.png,images/9.png\n"), rule)
    loader = Loader(examples, rule, SCALES["symmetric"], torch.device("cpu"))
    stage = load_recipe("gedi-nesy-few").last
    fit = fit_to_rule(networks, rule, loader, stage=stage)
    assert torch.equal(fit.credible, credibility(networks, rule, loader, stage))
    assert not torch.equal(fit.credible, fit.log_prob)


def test_a_report_shows_the_doubtful_rows_first_then_others(folder, dark_and_light):
    rule, networks = dark_and_light
    lines = ["X,Y", "images/0.png,images/9.png", *["images/0.png,images/0.png"] * 20]
    examples = read_table(write(folder, "\n".join(lines) + "\n"), rule)
    loader = Loader(examples, rule, SCALES["symmetric"], torch.device("cpu"))
    least, others = show_examples(fit_to_rule(networks, rule, loader), rule, loader).values()
    assert (least[0].facts, least[0].breaks) == ("line 2", True)
    assert least[0].head.startswith("breaks the rule, P = 0.")
    assert [(shown.symbol, shown.is_wrong) for shown in least[0].images] == [("0", False), ("1", False)]
    assert least[0].images[1].image.max().item() == pytest.approx(180 / 255)
    assert not {card.facts for card in least} & {card.facts for card in others}
    assert len(least) + len(others) == 21


def test_the_most_probable_answer_is_summed_over_symbols(folder, dark_and_light):
    _, networks = dark_and_light
    text = "nn(bits,[X],Y,[0,1]) :: bit(X,Y). q(X,Y,[S]) :- bit(X,A), bit(Y,B), S is A+B."
    rule = Constraint(text, "q(X,Y,S)", ("S:1",))
    # 9.png is 180 / 255, so p(1) = sigmoid(2 * 0.412) = 0.695: P(S = 2) = 0.483, P(S = 1) = 0.424; 7.png is 140 / 255,
    # p(1) = 0.549: P(S = 1) = 0.495 and P(S = 2) = 0.301, though 1 is the more probable symbol of both images
    lines = ["X,Y,S", "images/9.png,images/9.png,[2]", "images/7.png,images/7.png,[1]", "images/7.png,images/7.png,[2]"]
    examples = read_table(write(folder, "\n".join(lines) + "\n"), rule)
    found = score_rows(networks, rule, Loader(examples, rule, SCALES["symmetric"], torch.device("cpu")), "train_")
    assert found["train_answer_accuracy"] == pytest.approx(2 / 3)
    assert found["train_constraint_satisfaction"] == pytest.approx(2 / 3)
    assert [row["breaks"] for row in found["doubtful_rows"]].count(True) == 1


def test_an_argument_that_the_rule_never_looks_at_is_always_answered(folder, dark_and_light):
    _, networks = dark_and_light
    rule = Constraint("nn(bits,[X],Y,[0,1]) :: bit(X,Y). q(X,_) :- bit(X,1).", "q(X,S)", ("S",))
    examples = read_table(write(folder, "X,S\nimages/9.png,5\nimages/9.png,7\n"), rule)
    found = score_rows(networks, rule, Loader(examples, rule, SCALES["symmetric"], torch.device("cpu")), "test_")
    assert found["answer_accuracy"] == 1


def test_a_run_on_a_table_is_scored_on_its_table_or_on_another(run):
    folder = run.folder.path.parent
    assert run.evaluate() == {key: run.summary[key] for key in run.evaluate()}
    (folder / "test.csv").write_text("X,Y,S\nimages/3.png,images/4.png,7\n")
    for result in (run.evaluate(test=folder / "test.csv"), load_run(folder / "run").evaluate(test=folder / "test.csv")):
        assert [row["line"] for row in result["doubtful_rows"]] == [2]
    assert run.own_images().shape == (10, 1, 28, 28)  # 0.png to 9.png, each once
    (answer,) = run.query("digit(tensor(y(4)), 2)").items()  # line 4 has images 0 and 2
    expected = run.log_probs(folder / "images" / "2.png").exp()[0, 2].item()
    assert answer == ("digit(tensor(y(4)),2)", pytest.approx(expected, rel=1e-4))
    with pytest.raises(UserError, match=r"y has no 1: it has 30 tensors"):  # the heading
        run.query("digit(tensor(y(1)), 2)")
    (folder / "table.csv").unlink()
    with pytest.raises(UserError, match=r"table.csv can't be read"):
        run.evaluate()


@pytest.mark.parametrize(("rows", "recipe"), [(300, "gedi-nesy-few"), (301, "gedi-nesy"), (5000, "gedi-nesy-many")])
def test_a_table_is_trained_on_by_the_recipe_for_its_size(rows, recipe, folder, monkeypatch):
    table = write(folder, "X,Y,S\n" + "images/1.png,images/2.png,3\n" * rows)
    chosen = []
    monkeypatch.setattr("gedi_nesy.nesy.train.load_recipe", lambda name, overrides: chosen.append(name) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train(program="addition_sum", arguments=["S"], data=table)
    with pytest.raises(ZeroDivisionError):
        train(examples=rows)
    assert chosen == [recipe, recipe]
