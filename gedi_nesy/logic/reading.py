"""Reads ProbLog's ground formula into a ground program: atoms become values of categorical variables."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from problog.engine_unify import instantiate
from problog.errors import GroundingError
from problog.formula import LogicFormula
from problog.logic import Term, is_list, term2list

from gedi_nesy.errors import UserError
from gedi_nesy.logic.database import Database
from gedi_nesy.logic.ground import Argument, Fact, GroundProgram, Key, Value, Variable
from gedi_nesy.logic.program import Program, is_compound, read_probability, to_python
from gedi_nesy.logic.query import Query
from gedi_nesy.logic.tokens import Condition, Token

OBSERVED = "observed"  # label of the goals whose truth each example gives
GIVEN = "given"  # label of an answer's goal, grounded with the answer's values


class Reading:
    """Reads ProbLog's ground formula: its atoms become values of categorical variables.

    Args:
        program: the program.
        query: its goal.
        formula: ProbLog's.
        database: the program's clauses.
        open_tests: predicates whose outcome may depend on the arguments that were left open.
        tokens: those of each argument that was not.
    """

    def __init__(
        self,
        program: Program,
        query: Query,
        formula: LogicFormula,
        database: Database,
        open_tests: tuple[str, ...],
        tokens: dict[str, list[Token]],
    ) -> None:
        self.program, self.query, self.formula = program, query, formula
        self.database, self.open_tests, self.tokens = database, open_tests, tokens
        self.calls: dict[Any, tuple[int, tuple[Value, ...]]] = {}  # ground choice -> declaration, inputs
        self.facts: dict[Any, dict[int, float | int]] = {}  # ground choice -> weight of each value
        self.literals: dict[int, tuple[Any, int]] = {}  # node -> ground choice, value
        self._open_terms: dict[str, dict[Value, Term]] = {name: {} for name in self._open}
        self.conditions: dict[int, tuple[Token, Value]] = {}  # node -> token, value
        for index, node, kind in formula:
            if kind == "atom" and not node.is_extra:
                self._read_atom(index, node)

    def _read_atom(self, index: int, atom: Any) -> None:
        choice = ("fact", atom.identifier) if atom.group is None else atom.group
        value = 0 if atom.group is None else atom.identifier[2]
        weight = atom.probability
        if isinstance(weight, Condition):
            self.conditions[index] = (weight.token, weight.equal_to)
            return
        if is_compound(weight, "nn"):
            self.calls[choice] = self._read_call(weight)
            value = 1 if weight.arity == 2 else value  # p(X) is the second of (False, True)
        elif is_compound(weight, "t"):
            self.facts[choice] = dict(
                enumerate(self.program.groups[self.program.parameters[int(weight.args[0])].group])
            )
        else:
            self.facts.setdefault(choice, {})[value] = read_probability(weight, self.program.source.name)
        self.literals[index] = (choice, value)

    def _read_call(self, annotation: Term) -> tuple[int, tuple[Value, ...]]:
        if not is_list(annotation.args[1]):
            raise UserError(f"the inputs of a neural predicate must be a list, not {annotation.args[1]}")
        return int(str(annotation.args[0])[3:]), tuple(to_python(term) for term in term2list(annotation.args[1], False))

    def result(self) -> GroundProgram:
        """The ground program, its neural variables in the order of the query's images."""
        variables = self._variables()
        facts, values = self._facts()
        answers = self._answers()
        arguments = self._arguments(answers)
        number = {choice: i for i, choice in enumerate([*variables, *facts, *arguments])}
        nodes = self._nodes(arguments, values, number)
        root = self._root(answers, arguments, number, nodes)
        evidence = [node for _, node in self.formula.evidence()]
        evidence += self._observed(number, nodes)
        found = dict(self.formula.queries())
        return GroundProgram(
            tuple(variables.values()),
            tuple(facts.values()),
            tuple(arguments.values()),
            tuple(nodes),
            root,
            tuple(evidence),
            tuple(map(str, self.database.consulted)),
            self.open_tests,
            tuple((found[name], node) for name, node in self.formula.get_names(GIVEN)),
        )

    def _nodes(
        self, arguments: Mapping[Any, Argument], values: Mapping[Any, Mapping[int, int]], number: Mapping[Any, int]
    ) -> list[tuple[Any, ...]]:
        """The formula's nodes, whose literals name variables and values by their numbers."""
        position = {key: {value: i for i, value in enumerate(own.domain)} for key, own in arguments.items()}
        nodes: list[tuple[Any, ...]] = []
        for index, node, kind in self.formula:
            if index in self.conditions:
                token, value = self.conditions[index]
                key = (token.argument, token.place)
                nodes.append(("literal", number[key], position[key][value]))
            elif kind == "atom":
                choice, value = self.literals.get(index, (None, 0))  # "none of them" occurs in no formula
                known = values.get(choice)
                nodes.append(("literal", number.get(choice), known[value] if known is not None else value))
            else:
                nodes.append(("and" if kind == "conj" else "or", node.children))
        return nodes

    @property
    def _open(self) -> list[str]:
        return [name for name in self.query.arguments if name not in self.tokens]

    def _arguments(self, answers: Iterable[tuple[Value, ...]]) -> dict[Any, Argument]:
        """By name and place, in the query's order: those of tokens by what they were compared with, open ones by what
        the rule found for them."""
        columns = dict(zip(self._open, zip(*answers, strict=True), strict=False))
        arguments: dict[Any, Argument] = {}
        for name in self.query.arguments:
            if name not in self.tokens:
                arguments[name, None] = Argument(name, None, _ordered(columns.get(name, ())))
            for token in self.tokens.get(name, ()):
                arguments[name, token.place] = Argument(name, token.place, _ordered(token.terms))
        for text in self.query.evidence:
            arguments[text, None] = Argument(text, None, (False, True))
        return arguments

    def _observed(self, number: Mapping[Any, int], nodes: list[tuple[Any, ...]]) -> list[int]:
        """Nodes which say that the goals whose truth differs by example are as true as that; nodes are added for it."""
        found = {goal.functor.rsplit("_", 1)[1]: node for goal, node in self.formula.get_names(OBSERVED)}
        same = []
        for i, text in enumerate(self.query.evidence):
            holds = found.get(str(i))
            absent = 0 if holds is None else None if holds == 0 else -holds  # 0 is true, None false
            start = len(nodes)
            for value, node in enumerate((absent, holds)):
                nodes.append(("literal", number[text, None], value))
                nodes.append(("and", (len(nodes), node)))
            nodes.append(("or", (start + 2, start + 4)))
            same.append(len(nodes))
        return same

    def _root(
        self,
        answers: Mapping[tuple[Value, ...], int],
        arguments: Mapping[Any, Argument],
        number: Mapping[Any, int],
        nodes: list[tuple[Any, ...]],
    ) -> int | None:
        """The query's node, for which nodes may be added: some answer holds, and the open arguments have its values."""

        def added(*node: Any) -> int:
            nodes.append(node)
            return len(nodes)

        if not self._open:
            return next(iter(answers.values()), None)
        keys = [(name, None) for name in self._open]
        literals = {
            (key, value): added("literal", number[key], i)
            for key in keys
            for i, value in enumerate(arguments[key].domain)
        }
        every = [
            added("and", (*(literals[pair] for pair in zip(keys, answer, strict=True)), node))
            for answer, node in answers.items()
        ]
        return added("or", tuple(every))

    def check_images(self) -> None:
        """Raise a UserError where no network reads an image of the query."""
        reached = {image for _, inputs in self.calls.values() for image in _images_in(inputs, self.query.images)}
        others = [image for image in self.query.images if image not in reached]
        if others:
            raise UserError(
                f"in {self.query.goal} no network is called with {', '.join(others)}: a variable of the query is an "
                f"image that a network reads, or a value that differs by example and is named in arguments=, "
                f"such as arguments=({others[-1]!r},), or --argument {others[-1]}"
            )

    def _variables(self) -> dict[Any, Variable]:
        networks_of: dict[str, set[str]] = {image: set() for image in self.query.images}
        for number, inputs in self.calls.values():
            for image in _images_in(inputs, self.query.images):
                networks_of[image].add(self.program.declarations[number].network)
        variables: dict[Any, Variable] = {}
        places: dict[Any, str] = {}
        for choice, (number, inputs) in self.calls.items():
            declaration = self.program.declarations[number]
            key: Key = (declaration.network, *inputs)
            if len(inputs) == 1 and len(networks_of.get(inputs[0], ())) == 1:
                key = inputs[0]
            if key in places:
                raise UserError(
                    f"network {declaration.network} reads {', '.join(map(str, inputs))} twice, at {places[key]} and at "
                    f"{declaration.place}, and ProbLog takes that for two independent draws: declare it once, with no "
                    "further variable in its head or body, and derive the other predicate from it"
                )
            places[key] = declaration.place
            variables[choice] = Variable(key, declaration.network, inputs, declaration.domain)
        rank = {image: i for i, image in enumerate(self.query.images)}

        def order(item: tuple[Any, Variable]) -> list[int]:
            return [rank[image] for image in _images_in(item[1].inputs, self.query.images)] or [len(rank)]

        return dict(sorted(variables.items(), key=order))

    def _facts(self) -> tuple[dict[Any, Fact], dict[Any, dict[int, int]]]:
        """The facts, and for each the number of each of its values."""
        facts, values = {}, {}
        for choice, weights in self.facts.items():
            start = sum(self.program.parameters[w].start if isinstance(w, int) else w for w in weights.values())
            self._check_total(choice, weights)
            exhaustive = start >= 1 - 1e-9 and (len(weights) > 1 or not isinstance(next(iter(weights.values())), int))
            facts[choice] = Fact(tuple(weights.values()), exhaustive)
            values[choice] = {value: i for i, value in enumerate(weights)}
        return facts, values

    def _check_total(self, choice: Any, weights: dict[int, float | int]) -> None:
        """Refuse an annotated disjunction whose heads, reached or not, have more than all probability."""
        group, context = choice
        heads = [] if group == "fact" else self.database.heads(group)
        if len(heads) < 2 or any(isinstance(weight, int) for weight in weights.values()):
            return
        name = self.program.source.name
        total = sum(read_probability(instantiate(head.probability, context), name) for head in heads)
        if total > 1 + 1e-9:
            place = self.database.lineno(heads[0].location)
            error = GroundingError(f"the probabilities of an annotated disjunction exceed 1: {total:.6g}", place)
            raise UserError(f"{name}: {str(error).rstrip('.')}")

    def terms(self) -> list[dict[Value, Term]]:
        """For each argument its values, the same as terms in ProbLog."""
        self._answers()
        every = []
        for name in self.query.arguments:
            every += [token.terms for token in self.tokens[name]] if name in self.tokens else [self._open_terms[name]]
        return every

    def _answers(self) -> dict[tuple[Value, ...], int]:
        """The node of each answer: of the values of the arguments that were left open."""
        answers: dict[tuple[Value, ...], int] = {}
        terms_of: dict[tuple[Value, ...], tuple[Term, ...]] = {}
        positions = [self.query.names.index(name) for name in self._open]
        for goal, node in self.formula.queries():
            if node is None:
                continue
            if not goal.is_ground():
                raise UserError(f"the answer {goal.args} to {self.query.goal} leaves an argument open")
            terms = tuple(goal.args[position] for position in positions)
            answer = tuple(map(to_python, terms))
            if answer in answers:
                both = " and ".join(", ".join(map(str, each)) for each in (terms_of[answer], terms))
                raise UserError(
                    f"{self.query.goal} has two answers that ProbLog tells apart and Python does not, {both}: let the "
                    "rule write numbers in one way, by float(...) or by //, and names all with quotes or all without"
                )
            answers[answer], terms_of[answer] = node, terms
            for name, value, term in zip(self._open, answer, terms, strict=True):
                self._open_terms[name][value] = term
        return answers


def _ordered(domain: Iterable[Value]) -> tuple[Value, ...]:
    """The different values, numbers in their order."""
    values = tuple(dict.fromkeys(domain))
    return tuple(sorted(values)) if all(isinstance(value, int | float) for value in values) else values


def _images_in(value: Value, images: Sequence[str]) -> Iterator[str]:
    if isinstance(value, tuple):
        for element in value:
            yield from _images_in(element, images)
    elif isinstance(value, str) and value in images:
        yield value
