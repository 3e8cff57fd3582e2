"""The published study: upstream's result tables as tidy rows, and what the paper says of them."""
