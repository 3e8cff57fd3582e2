"""Language models and their activations. TransformerLens lives in ``adapter`` alone."""
