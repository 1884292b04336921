"""Encoders by name, and what stands on top of them."""
