"""Tables in upstream's form, written from the rows that ship."""

LAYER = "baseline_probes_gemma-2-9b/normal_settings/layer20_results.csv"
NOISE = "baseline_probes_gemma-2-9b/corrupt/all_results.csv"
SHIFT = "baseline_probes_gemma-2-9b/ood/all_results.csv"
SCORES = ["test_f1", "test_acc", "test_auc", "val_auc"]


def write_baselines(rows, name, folder, target=None, value="ratio"):
    """One table of baselines; the regime's number goes into the column ``value``."""
    own = rows[rows["unit_key"].eq(name)]
    frame = own[["dataset", "method", *SCORES]]
    if own["regime"].iloc[0] != "standard":
        frame = frame.assign(num_train=own["n_train"], **{value: own["regime_value"]})
    return write(frame, folder / (target or name))


def write_saes(rows, target, value="", **renamed):
    """One table of SAE probes; ``renamed`` are columns that get one value each."""
    frame = rows[["dataset", *SCORES, "k", "sae_id"]].assign(layer=20, reg_type="l1", **renamed)
    if value:
        frame = frame.assign(**{value: rows["regime_value"], "num_train": rows["n_train"]})
    return write(frame, target)


def write_shift(rows, folder):
    """The table of shifted test sets."""
    own = rows[rows["unit_key"].eq(SHIFT)]
    frame = own.pivot(index="dataset", columns="method", values="test_auc").reset_index()
    names = {"logreg": "test_auc_baseline", "sae_logreg": "test_auc_sae"}
    return write(frame.rename(columns=names), folder / SHIFT)


def write(frame, path):
    """A frame as CSV with every digit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(frame), *(",".join(map(str, row)) for row in frame.to_numpy().tolist())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
