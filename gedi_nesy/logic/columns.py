"""All that a rule weighs in a call: its variables by what networks say, its own facts, and the arguments given."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gedi_nesy.errors import UserError
from gedi_nesy.logic.arguments import OPEN, ArgumentReader, Arguments
from gedi_nesy.logic.fact_weights import FactWeights
from gedi_nesy.logic.ground import GroundProgram, Key, Value
from gedi_nesy.logic.inputs import Inputs
from gedi_nesy.logic.looks import Looks


class Columns:
    """Reads a call as the log-weights of each variable's values: the rows of a circuit's literals.

    Args:
        goal: the query, for messages.
        ground: the ground program.
        reader: of the query's arguments.
        facts: the probabilities of the rule's own facts.
        looks: at whether values make sense.
    """

    def __init__(
        self, goal: str, ground: GroundProgram, reader: ArgumentReader, facts: FactWeights, looks: Looks
    ) -> None:
        self.goal, self.ground, self.reader, self.facts = goal, ground, reader, facts
        self.inputs = Inputs(ground.variables, looks)

    def read(self, inputs: Mapping[Key, Tensor], arguments: Arguments | None) -> tuple[list[Tensor], Tensor | None]:
        """The log-probabilities of each variable, of all facts, of all arguments, [batch, values]; and the arguments'
        numbers, [batch, arguments], None where the query has none.

        Raises:
            UserError: a key, shape or value is wrong.
        """
        numbers = self.reader.read(arguments)
        return self._joined(inputs, numbers), numbers

    def read_open(self, inputs: Mapping[Key, Tensor], arguments: Mapping[str, Sequence[Value]] | None) -> list[Tensor]:
        """As `read`, with arguments that are not given open: each of their values has the weight 1."""
        if not self.ground.arguments:
            raise UserError(f"the query {self.goal} has no arguments")
        if arguments:
            return self._joined(inputs, self.reader.read_some(arguments))
        columns = self.inputs.read(inputs, None)
        examples = len(columns[0]) if columns else 1
        return self._joined(inputs, torch.full((examples, len(self.ground.arguments)), OPEN))

    def _joined(self, inputs: Mapping[Key, Tensor], numbers: Tensor | None) -> list[Tensor]:
        columns = self.inputs.read(inputs, None if numbers is None else len(numbers))
        dtype = columns[0].dtype if columns else torch.float64
        device = columns[0].device if columns else torch.device("cpu")
        if self.ground.facts or not columns:
            examples = len(columns[0]) if columns else 1 if numbers is None else len(numbers)
            columns.append(self.facts(dtype, device).expand(examples, -1))
        if numbers is not None:
            columns.append(self.reader.log_weights(numbers.to(device), dtype))
        return columns
