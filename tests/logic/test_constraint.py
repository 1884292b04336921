"""Constraint against arithmetic by hand, brute force, and DeepProbLog's own solver."""

import copy
import itertools
import math

import pytest
import torch
from deepproblog.engines import ExactEngine
from deepproblog.model import Model
from deepproblog.network import Network
from deepproblog.query import Query
from problog.logic import Constant, Term
from torch import Tensor, nn

from gedi_nesy.errors import UserError
from gedi_nesy.logic.constraint import Constraint

DIGIT = "nn(digits, [X], Y, [0,1,2,3,4,5,6,7,8,9]) :: digit(X,Y). "
BIT = "nn(bits, [X], Y, [0,1]) :: bit(X,Y). "
SUM = DIGIT + "sum(X,Y,S) :- digit(X,A), digit(Y,B), S is A+B."
PAIRS = [(a, b) for a in range(10) for b in range(10 - a)]


def random_inputs(constraint: Constraint, batch: int, scale: float = 3.0, seed: int = 0) -> dict:
    generator = torch.Generator().manual_seed(seed)
    return {
        v.key: (scale * torch.randn(batch, len(v.domain), generator=generator, dtype=torch.float64)).log_softmax(1)
        for v in constraint.variables
    }


def logs(*probabilities: float) -> Tensor:
    return torch.tensor([probabilities], dtype=torch.float64).log()


class Rows(nn.Module):
    """A DeepProbLog network whose images are already its probabilities."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def solve_with_deepproblog(program: str, predicate: str, images: Tensor, sums: list[int] | None) -> Tensor:
    """The goal's probability given each example's probabilities [n, k, 10], one after the other, circuits cached."""
    model = Model(program, [Network(Rows(), "digits", batching=True)], load=False)
    model.set_engine(ExactEngine(model), cache=True)
    count, width, _ = images.shape
    model.add_tensor_source("row", {(Constant(i),): row for i, row in enumerate(images.flatten(0, 1))})
    names = [Term(name) for name in "abc"[:width]]
    results = []
    for i in range(count):
        given = [Term("tensor", Term("row", Constant(width * i + j))) for j in range(width)]
        goal = Term(predicate, *names, *([] if sums is None else [Constant(sums[i])]))
        (answer,) = model.solve([Query(goal, dict(zip(names, given, strict=True)))])
        results.append(next(iter(answer.result.values())))
    return torch.stack(results)


@pytest.mark.filterwarnings("ignore:Converting a tensor")
@pytest.mark.parametrize(("width", "count"), [(2, 20), (3, 20)])
def test_agrees_with_deepproblog_on_random_triples(width: int, count: int) -> None:
    """Triples of images; and, of pairs of images, their sum as a number."""
    generator = torch.Generator().manual_seed(0)
    logits = (3 * torch.randn(count, width, 10, generator=generator, dtype=torch.float64)).requires_grad_()
    log_probs = logits.log_softmax(-1)
    inputs = dict(zip("XYZ", log_probs.unbind(1), strict=False))
    if width == 2:
        sums = torch.randint(10, (count, 2), generator=generator).sum(1).tolist()
        ours = Constraint(SUM, query="sum(X,Y,S)", arguments=("S",)).log_prob(inputs, {"S": sums})
        theirs = solve_with_deepproblog(SUM, "sum", log_probs.exp(), sums)
    else:
        program = DIGIT + "addition(X,Y,Z) :- digit(X,A), digit(Y,B), digit(Z,C), C is A+B."
        ours = Constraint.from_file("addition").log_prob(inputs)
        theirs = solve_with_deepproblog(program, "addition", log_probs.exp(), None)
    assert (ours.exp() / theirs - 1).abs().max() < 1e-9
    (our_gradient,) = torch.autograd.grad(ours.sum(), logits, retain_graph=True)
    (their_gradient,) = torch.autograd.grad(theirs.log().sum(), logits)
    assert (our_gradient - their_gradient).abs().max() < 1e-9


def test_addition_is_the_sum_over_its_55_solutions(addition: Constraint) -> None:
    inputs = random_inputs(addition, 7)
    solutions = torch.stack([inputs["X"][:, a] + inputs["Y"][:, b] + inputs["Z"][:, a + b] for a, b in PAIRS], 1)
    assert torch.allclose(addition.log_prob(inputs), solutions.logsumexp(1), rtol=1e-12)
    labels, best = addition.most_probable(inputs)
    assert torch.allclose(best, solutions.amax(1), rtol=1e-12)
    assert [(int(x), int(y)) for x, y in zip(labels["X"], labels["Y"], strict=True)] == [
        PAIRS[i] for i in solutions.argmax(1)
    ]
    of_x = torch.tensor([a for a, _ in PAIRS])
    posterior = torch.stack([solutions[:, of_x == k].logsumexp(1) for k in range(10)], 1) - solutions.logsumexp(1, True)
    assert torch.allclose(addition.posterior(inputs)["X"], posterior, rtol=1e-9)


def test_draws_by_hand():
    program = "nn(net, [X], Y, [0,1,2,3]) :: digit(X,Y).\nsums(X,Y,S) :- digit(X,A), digit(Y,B), S is A+B."
    rule = Constraint(program, query="sums(X,Y,S)", arguments=("S",))
    x, y = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0.4, 0.1, 0.2, 0.3])
    n = 20_000
    inputs = {"X": x.log().expand(n, -1), "Y": y.log().expand(n, -1)}
    drawn = rule.sample_posterior(inputs, {"S": [3] * n}, generator=torch.Generator().manual_seed(0))
    assert (drawn["X"] + drawn["Y"] == 3).all()
    joint = x * y.flip(0)  # P(X = a, Y = 3 - a), up to their sum: .03, .04, .03, .16 of .26
    shares = drawn["X"].bincount(minlength=4) / n
    torch.testing.assert_close(shares, joint / joint.sum(), atol=0.014, rtol=0)  # four standard deviations


def test_each_example_is_drawn_from_its_own_answer():
    rule = Constraint.from_file("addition_sum", arguments=("S",))
    sums = [*range(19)] * 50
    even = torch.full((len(sums), 10), 0.1).log()
    drawn = rule.sample_posterior({"X": even, "Y": even}, {"S": sums}, generator=torch.Generator().manual_seed(0))
    assert (drawn["X"] + drawn["Y"]).tolist() == sums
    assert len(drawn["X"][9::19].unique()) > 5  # 9 is a sum in ten ways
    none = dict.fromkeys(("X", "Y"), even[:0])
    assert rule.sample_posterior(none, {"S": []})["X"].shape == (0,)


def test_draws_through_several_layers_satisfy_the_rule_and_have_its_marginals():
    rule, n = Constraint.from_file("addition_multi"), 20_000
    generator = torch.Generator().manual_seed(0)
    one = {v.key: torch.randn(1, 10, generator=generator).log_softmax(1) for v in rule.variables}
    drawn = rule.sample_posterior({key: p.expand(n, -1) for key, p in one.items()}, generator=generator)
    x1, x2, y1, y2, z1, z2, z3 = (drawn[v.key] for v in rule.variables)
    assert (10 * x1 + x2 + 10 * y1 + y2 == 100 * z1 + 10 * z2 + z3).all()
    for key, posterior in rule.posterior(one).items():
        shares = drawn[key].bincount(minlength=10) / n
        torch.testing.assert_close(shares, posterior[0].exp(), atol=0.014, rtol=0)


def test_draws_heed_evidence_and_the_rules_own_facts():
    rule = Constraint(BIT + "0.3::a. 0.5::b. q(X) :- bit(X,1), b. q(X) :- a. evidence(c). c :- a. c :- b.", "q(X)")
    n = 20_000
    drawn = rule.sample_posterior({"X": logs(0.4, 0.6).expand(n, -1)}, generator=torch.Generator().manual_seed(0))
    by_hand = [0.4 * 0.3, 0.6 * (1 - 0.7 * 0.5)]  # with 0, a must hold; with 1, a or b
    assert drawn["X"].double().mean().item() == pytest.approx(by_hand[1] / sum(by_hand), abs=0.014)


def test_a_draw_where_the_rule_is_impossible_warns():
    rule = Constraint.from_file("addition_sum", arguments=("S",))
    inputs = {key: torch.zeros(1, 10).log_softmax(1) for key in ("X", "Y")}
    with pytest.warns(UserWarning, match="impossible for 1 of 1"):
        rule.sample_posterior(inputs, {"S": [40]})


def test_solutions_of_addition(addition: Constraint) -> None:
    assert addition.count() == 55
    for key, ways in (("X", range(10, 0, -1)), ("Y", range(10, 0, -1)), ("Z", range(1, 11))):
        assert torch.allclose(addition.marginals()[key] * 55, torch.tensor(list(ways), dtype=torch.float32))
    drawn = addition.sample(11_000, torch.Generator().manual_seed(0))
    assert (drawn["X"] + drawn["Y"] == drawn["Z"]).all()
    counts = torch.bincount(10 * drawn["X"] + drawn["Y"], minlength=100)[[10 * a + b for a, b in PAIRS]].double()
    assert ((counts - 200) ** 2 / 200).sum() < 92  # chi-square with 54 degrees of freedom, p = .001


def test_gradients(addition: Constraint) -> None:
    inputs = tuple(value.exp().log().requires_grad_() for value in random_inputs(addition, 3).values())
    assert torch.autograd.gradcheck(
        lambda *rows: addition.log_prob({key: row.log_softmax(1) for key, row in zip("XYZ", rows, strict=True)}), inputs
    )


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(addition: Constraint, scale: float, dtype: torch.dtype) -> None:
    logits = (scale * torch.randn(16, 3, 10, generator=torch.Generator().manual_seed(1))).to(dtype).requires_grad_()
    value = addition.log_prob(dict(zip("XYZ", logits.log_softmax(-1).unbind(1), strict=True)))
    value.sum().backward()
    assert value.isfinite().all()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().sum() > 0


def test_half_precision_is_computed_in_single(addition: Constraint) -> None:
    inputs = {key: value.bfloat16() for key, value in random_inputs(addition, 4).items()}
    value = addition.log_prob(inputs)
    assert value.dtype == torch.float32
    assert torch.allclose(value, addition.log_prob({key: row.float() for key, row in inputs.items()}))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_another_device_gives_the_same() -> None:
    rule = Constraint("t(0.1) :: slip. " + SUM + " told(X,Y,S) :- \\+slip, sum(X,Y,S).", "told(X,Y,S)", ("S",))
    here, given = random_inputs(rule, 3), {"S": [2, 9, 17]}
    there = {key: value.cuda().requires_grad_() for key, value in here.items()}
    here = {key: value.requires_grad_() for key, value in here.items()}
    ours, theirs = (rule.log_prob(inputs, given) for inputs in (here, there))
    assert torch.allclose(ours, theirs.cpu(), rtol=1e-9)
    gradients = [torch.autograd.grad(v.sum(), list(i.values())) for v, i in ((ours, here), (theirs, there))]
    assert all(torch.allclose(a, b.cpu(), atol=1e-9) for a, b in zip(*gradients, strict=True))
    assert torch.allclose(rule.posterior(here, given)["X"], rule.posterior(there, given)["X"].cpu(), rtol=1e-9)
    labels, far_labels = rule.most_probable(here, given)[0], rule.most_probable(there, given)[0]
    assert all(torch.equal(labels[key], far_labels[key].cpu()) for key in labels)


def test_argument_that_differs_by_example() -> None:
    rule = Constraint(SUM, query="sum(X,Y,S)", arguments=("S",))
    inputs = random_inputs(rule, 3)
    with pytest.warns(UserWarning, match=r"sum\(X,Y,S\) is impossible for 1 of 3 examples \(2\)"):
        value = rule.log_prob(inputs, arguments={"S": [0, 17, 99]})
    assert value[0] == pytest.approx(float(inputs["X"][0, 0] + inputs["Y"][0, 0]))
    assert value[1] == pytest.approx(
        float(torch.logaddexp(inputs["X"][1, 8] + inputs["Y"][1, 9], inputs["X"][1, 9] + inputs["Y"][1, 8]))
    )
    assert value[2] == -math.inf
    assert rule.count() == 100
    drawn = rule.sample(50, torch.Generator().manual_seed(0))
    assert [int(x + y) for x, y in zip(drawn["X"], drawn["Y"], strict=True)] == drawn["S"]


def test_impossible_example_leaves_the_others_gradient_finite(addition: Constraint) -> None:
    logits = torch.zeros(2, 3, 10, dtype=torch.float64)
    logits[0, :2, :9] = -math.inf  # 9 + 9
    logits[0, 2, 1:] = -math.inf  # is 0
    log_probs = logits.log_softmax(-1).requires_grad_()
    with pytest.warns(UserWarning, match="impossible for 1 of 2"):
        value = addition.log_prob(dict(zip("XYZ", log_probs.unbind(1), strict=True)))
    assert value.tolist() == [-math.inf, pytest.approx(math.log(55 / 1000))]
    value.sum().backward()
    assert (log_probs.grad[0] == 0).all()
    assert log_probs.grad[1].sum().item() == pytest.approx(3.0)


def test_rule_that_nothing_satisfies() -> None:
    rule = Constraint(DIGIT + "q(X) :- digit(X,3), digit(X,4).", query="q(X)")
    log_probs = torch.zeros(2, 10).log_softmax(1).requires_grad_()
    with pytest.warns(UserWarning, match=r"q\(X\) is impossible for 2 of 2"):
        value = rule.log_prob({"X": log_probs})
    value.sum().backward()
    assert value.tolist() == [-math.inf, -math.inf]
    assert (log_probs.grad == 0).all()
    assert rule.count() == 0


def test_same_image_in_two_arguments_is_one_variable() -> None:
    rule = Constraint(SUM, query="sum(X,X,S)", arguments=("S",))
    assert [v.key for v in rule.variables] == ["X"]
    inputs = random_inputs(rule, 1)
    assert rule.log_prob(inputs, {"S": [6]}).item() == pytest.approx(float(inputs["X"][0, 3]))  # 3 + 3, nothing else


def test_two_networks_share_an_image_and_one_reads_two_images() -> None:
    rule = Constraint(
        DIGIT + "nn(even, [X]) :: even(X). nn(swap, [X,Y], Z, [no,yes]) :: swap(X,Y,Z). "
        "nn(scale, [X,big], S, [a,b]) :: scale(X,S). "
        "q(X,Y) :- digit(X,A), A > 7, even(X), digit(Y,B), B < 2, swap(X,Y,yes), scale(Y,a).",
        query="q(X,Y)",
    )
    assert [v.key for v in rule.variables] == [
        ("digits", "X"),
        ("even", "X"),
        ("swap", "X", "Y"),
        ("digits", "Y"),
        ("scale", "Y", "big"),
    ]
    assert rule.variables[1].domain == (False, True)
    assert rule.variables[4].inputs == ("Y", "big")
    inputs = random_inputs(rule, 1)
    by_hand = (
        inputs["digits", "X"][0, 8:].exp().sum()
        * inputs["even", "X"][0, 1].exp()
        * inputs["digits", "Y"][0, :2].exp().sum()
    )
    by_hand = by_hand * inputs["swap", "X", "Y"][0, 1].exp() * inputs["scale", "Y", "big"][0, 0].exp()
    assert rule.log_prob(inputs).exp().item() == pytest.approx(by_hand.item(), rel=1e-12)


def test_images_inside_lists() -> None:
    rule = Constraint(
        DIGIT + "number([],N,N). number([H|T],A,N) :- digit(H,D), B is 10*A+D, number(T,B,N). "
        "add(X,Y,S) :- number(X,0,A), number(Y,0,B), S is A+B.",
        query="add([A,B],[C],S)",
        arguments=("S",),
    )
    assert [v.key for v in rule.variables] == ["A", "B", "C"]
    assert rule.count() == 1000
    inputs = {key: torch.zeros(1, 10).log_softmax(1) for key in "ABC"}
    assert rule.log_prob(inputs, {"S": [100]}).exp().item() == pytest.approx(9 / 1000)  # 91+9 ... 99+1


def test_the_rules_own_probabilities() -> None:
    program = BIT + "0.3 :: noise. 0.2 :: mode(a); 0.5 :: mode(b). q(X) :- bit(X,1), \\+noise. q(X) :- noise, mode(b)."
    rule = Constraint(program, query="q(X)")
    assert rule.log_prob({"X": logs(0.4, 0.6)}).exp().item() == pytest.approx(0.7 * 0.6 + 0.3 * 0.5)
    assert rule.count() == 2  # whatever the image shows, noise may explain it
    labels, best = rule.most_probable({"X": logs(0.4, 0.6)})
    assert labels["X"].item() == 1
    assert best.exp().item() == pytest.approx(0.6 * (0.7 + 0.3 * 0.5))
    assert rule.posterior({"X": logs(0.4, 0.6)})["X"].exp()[0, 0].item() == pytest.approx(0.4 * 0.15 / (0.42 + 0.15))


def test_evidence_is_conditioned_on() -> None:
    rule = Constraint("0.3 :: a. 0.6 :: b. c :- a. c :- b. evidence(c). evidence(b, false). query(a). ")
    assert rule.log_prob({}).tolist() == [pytest.approx(0.0)]  # c without b needs a
    rule = Constraint("0.3 :: a. 0.6 :: b. c :- a. c :- b. evidence(c). query(a).")
    assert rule.log_prob({}).exp().item() == pytest.approx(0.3 / (1 - 0.7 * 0.4))


def test_learnable_probabilities_are_parameters() -> None:
    rule = Constraint(
        BIT + "t(0.1) :: noise. 0.2 :: u(a); t(0.3) :: u(b); t(_) :: u(c). "
        "q(X) :- noise, u(b). q(X) :- \\+noise, bit(X,1).",
        query="q(X)",
    )
    value = rule.log_prob({"X": logs(0.4, 0.6)})
    assert value.exp().item() == pytest.approx(0.1 * 0.3 + 0.9 * 0.6)
    (-value.sum()).backward()
    noise, u = rule.weights.parameters()
    # d log P / d logit of noise = p(1-p) dP/dp / P
    assert (-noise.grad[0]).item() == pytest.approx(0.1 * 0.9 * (0.3 - 0.6) / 0.57)
    # u(b) = .8 softmax: d log P / d logit = share(1 - share) .8 * .1 / P, share = .375
    assert (-u.grad[0]).item() == pytest.approx(0.375 * 0.625 * 0.8 * 0.1 / 0.57)


def test_recursion_with_cycles_and_findall() -> None:
    edges = "0.5 :: e(1,2). 0.5 :: e(2,1). 0.5 :: e(2,3). 0.5 :: e(1,3). "
    edges += "path(X,Y) :- e(X,Y). path(X,Y) :- e(X,Z), path(Z,Y)."
    assert Constraint(edges, query="path(1,3)").log_prob({}).exp().item() == pytest.approx(1 - 0.5 * (1 - 0.25))
    text = BIT + "ones(L,N) :- findall(X, (member(X,L), bit(X,1)), Ones), length(Ones,N)."
    rule = Constraint(text, query="ones([A,B,C],2)")
    assert rule.count() == 3
    assert rule.log_prob({key: logs(0.5, 0.5) for key in "ABC"}).exp().item() == pytest.approx(3 / 8)


def test_brute_force_over_mixed_domains() -> None:
    rule = Constraint(
        BIT + "nn(tri, [X], Y, [a,b,c]) :: tri(X,Y). "
        "r(X,Y,Z) :- bit(X,0), \\+tri(Y,a). r(X,Y,Z) :- tri(Y,b), \\+bit(Z,1). "
        "r(X,Y,Z) :- bit(X,1), bit(Z,1), tri(Y,a).",
        query="r(X,Y,Z)",
    )
    holds = {
        (x, y, z): (x == 0 and y != 0) or (y == 1 and z == 0) or (x == z == 1 and y == 0)
        for x, y, z in itertools.product(range(2), range(3), range(2))
    }
    inputs = random_inputs(rule, 4)
    by_hand = sum(
        (inputs["X"][:, x] + inputs["Y"][:, y] + inputs["Z"][:, z]).exp() for (x, y, z), ok in holds.items() if ok
    )
    assert torch.allclose(rule.log_prob(inputs).exp(), by_hand, rtol=1e-12)
    assert rule.count() == sum(holds.values())
    assert rule.marginals()["Y"][0].item() == pytest.approx(
        sum(ok for (_, y, _), ok in holds.items() if y == 0) / sum(holds.values())
    )


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"X": torch.zeros(1, 10)}, "needs"),
        (
            {"X": torch.zeros(1, 10).numpy(), "Y": torch.zeros(1, 10)},
            "X needs log-probabilities as a tensor, not as nd",
        ),
        (
            {"X": torch.randn(2, 10), "Y": torch.zeros(2, 10).log_softmax(1)},
            "X are no log-probabilities: in example 0 ",
        ),
        ({"X": torch.zeros(2, 10).softmax(1), "Y": torch.zeros(2, 10).log_softmax(1)}, "log_softmax"),
        ({"X": torch.full((2, 10), math.nan), "Y": torch.zeros(2, 10).log_softmax(1)}, "X are no log-probabilities"),
        (
            {"X": torch.zeros(2, 9).log_softmax(1), "Y": torch.zeros(2, 10).log_softmax(1)},
            "X needs log-probabilities of its 10 values",
        ),
        (
            {"X": torch.zeros(2, 11).log_softmax(1), "Y": torch.zeros(2, 10).log_softmax(1)},
            "X needs log-probabilities of its 10 values",
        ),
        (
            {"X": torch.zeros(3, 10).log_softmax(1), "Y": torch.zeros(2, 10).log_softmax(1)},
            "differ in their number of examples",
        ),
    ],
)
def test_wrong_inputs_are_named(inputs: dict, message: str) -> None:
    rule = Constraint(SUM, query="sum(X,Y,3)")
    with pytest.raises(UserError, match=message):
        rule.log_prob(inputs)


def test_missing_argument_is_named() -> None:
    rule = Constraint(SUM, query="sum(X,Y,S)", arguments=("S",))
    for method in (rule.log_prob, rule.posterior, rule.align):
        with pytest.raises(UserError, match=r"the query has \['S'\]"):
            method(random_inputs(rule, 2))


@pytest.mark.parametrize("value", [7, "7", torch.tensor(7)])
def test_an_argument_needs_a_value_for_each_example(value) -> None:
    rule = Constraint(SUM, query="sum(X,Y,S)", arguments=("S",))
    with pytest.raises(UserError, match="argument S needs a list, one value for each example, not 7"):
        rule.log_prob(random_inputs(rule, 1), {"S": value})


def test_no_draw_is_no_sample(addition: Constraint) -> None:
    with pytest.raises(UserError, match="at least one assignment can be drawn, not 0"):
        addition.sample(0)


def closed_form(x: torch.Tensor, y: torch.Tensor, sums: list[int]) -> torch.Tensor:
    """log P(sum) of two digits, [batch]."""
    ways = [[(a, s - a) for a in range(10) if s - a in range(10)] for s in sums]
    return torch.stack([torch.stack([x[i, a] + y[i, b] for a, b in w]).logsumexp(0) for i, w in enumerate(ways)])


@pytest.mark.parametrize("text", [SUM, SUM + " t(0.7) :: ok. s(X,Y,S) :- sum(X,Y,S), ok."])
def test_second_derivatives_are_those_of_the_closed_form(text: str) -> None:
    rule = Constraint(text, query=f"{'s' if 'ok' in text else 'sum'}(X,Y,S)", arguments=("S",))
    given = {"S": [0, 9, 17]}
    y, logits = random_inputs(rule, 3)["Y"], torch.randn(3, 10, generator=torch.Generator().manual_seed(5)).double()

    def ours(x: torch.Tensor) -> torch.Tensor:
        return rule.log_prob({"X": x.log_softmax(1), "Y": y}, given).sum()

    def by_hand(x: torch.Tensor) -> torch.Tensor:
        return closed_form(x.log_softmax(1), y, given["S"]).sum()

    expected = torch.autograd.functional.hessian(by_hand, logits)
    for hessian in (torch.autograd.functional.hessian, lambda f, x: torch.func.hessian(f)(x)):
        torch.testing.assert_close(hessian(ours, logits), expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(torch.func.grad(ours)(logits), torch.func.grad(by_hand)(logits))
    logits.requires_grad_()
    penalties = [
        torch.autograd.grad(torch.autograd.grad(f(logits), logits, create_graph=True)[0].square().sum(), logits)[0]
        for f in (ours, by_hand)
    ]
    torch.testing.assert_close(*penalties, atol=1e-12, rtol=0)


def test_a_single_sum_of_products_has_second_derivatives_too(addition: Constraint) -> None:
    rows = torch.randn(3, 2, 10, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    assert torch.autograd.gradgradcheck(
        lambda rows: addition.log_prob(dict(zip("XYZ", rows.log_softmax(-1), strict=True))), (rows,)
    )


def test_tensors_without_values_of_their_own_are_refused() -> None:
    rule = Constraint(SUM, query="sum(X,Y,S)", arguments=("S",))
    inputs = random_inputs(rule, 1)
    for kind, x in (("meta", inputs["X"].to("meta")), ("sparse", inputs["X"].to_sparse())):
        with pytest.raises(UserError, match=f"X is a {kind} tensor: the rule needs a dense one"):
            rule.log_prob(inputs | {"X": x}, {"S": [3]})
    with pytest.raises(UserError, match=r"X comes from vmap, .* pass them as \[batch, 10\] and leave vmap out"):
        torch.func.vmap(torch.func.grad(lambda x: rule.log_prob(inputs | {"X": x}, {"S": [3]}).sum()))(
            inputs["X"][None]
        )


def test_a_copy_has_parameters_of_its_own_and_gives_the_same() -> None:
    rule = Constraint("t(0.1) :: slip. " + SUM + " told(X,Y,S) :- \\+slip, sum(X,Y,S).", "told(X,Y,S)", ("S",))
    inputs, given = random_inputs(rule, 3), {"S": [2, 9, 17]}
    before = rule.log_prob(inputs, given)
    twin = copy.deepcopy(rule)
    with torch.no_grad():
        twin.weights.logits[0].copy_(torch.tensor([0.5, 0.5]).log())
    assert torch.equal(rule.log_prob(inputs, given), before)
    assert torch.allclose(twin.log_prob(inputs, given) - before, torch.tensor(0.5 / 0.9).double().log())
