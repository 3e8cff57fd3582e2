"""Probes: baselines on activations and the sparse probe on SAE latents."""
