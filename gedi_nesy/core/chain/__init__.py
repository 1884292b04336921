"""SGLD chains compiled for the CPU; without this folder `core.sgld` computes the same with torch, but slower."""
