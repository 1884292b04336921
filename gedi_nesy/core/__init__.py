"""The loss core that both tracks share: energies, samplers, losses, the training loop. Tensors and modules only."""
