"""The rule track: networks that learn symbols from a ProbLog rule and the energy-based losses beside it."""
