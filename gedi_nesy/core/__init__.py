"""What both tracks train with: energies, samplers, losses, the training loop. It knows tensors and modules only."""
