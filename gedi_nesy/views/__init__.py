"""What an input may look like instead, x' ~ T(x'|x), for each kind of input."""
