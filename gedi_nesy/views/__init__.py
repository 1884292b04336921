"""Random views x' ~ T(x'|x), what an input may look like instead, for each kind of input."""
