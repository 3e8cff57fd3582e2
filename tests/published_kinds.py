"""Kinds of published numbers, for the tests that check them."""

MUST_PASS = (
    "fig1.", "fig3.partial.", "fig4.", "fig5.", "fig6.", "fig13", "fig15.", "fig16.", "fig17c.",
    "fig19.scarcity.", "normal.", "datasets.",
)  # fmt: skip
OUT_OF_REACH = (
    "fig20.v1.pruning",
    "table8.aimade_tokens",
    "paper.stated_numbers",
    "fig12.digitised_medians",
    "fig14b.legend",
    "fig12.partial.DataScarcityHacking_branch",
    "table9.sae_last_l0_68",
)
"""Not in the tables at hand."""
