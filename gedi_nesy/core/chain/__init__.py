"""The compiled form of `core.sgld` on CPU; without it SGLD computes the same with torch, several times slower."""
