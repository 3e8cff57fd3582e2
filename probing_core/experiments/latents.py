"""Section 04: what single latents of an SAE tell of a task (paper, section 4, tables 5 and 6)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from probing_core.datasets.prompts import ProbingDataset, load_translations
from probing_core.datasets.regimes import REGIMES
from probing_core.experiments import published
from probing_core.experiments.activations import compute_activations, study_model
from probing_core.experiments.regimes import first_sae
from probing_core.experiments.saes import compute_latents, latents_input, read_latents, study_sae
from probing_core.experiments.study import Study
from probing_core.models.extraction import length_sorted_batches, pad
from probing_core.probes.metrics import auc
from probing_core.probes.surface import surface
from probing_core.profiles import SAESource
from probing_core.saes.encoding import encode
from probing_core.saes.selection import RANKINGS, rank_latents
from probing_core.saes.sources import sae_id

AMONG = 128
"""Latents by class difference that are tried alone, as in the paper."""
SPURIOUS_AUC = 0.9
"""A surface feature that tells firing prompts this well makes a latent spurious."""
APT_AUC = 0.8
"""What an apt latent reaches on the task, and no surface feature does on the latent."""
FOREIGN_SHARE = 0.25
"""An apt latent fires on other tasks at most this often, as a share of its own class."""
TOP_TOKENS = 3


@dataclass(frozen=True)
class Context:
    """A prompt as the model reads it: pieces of text, (n_tokens,) float32 values of a latent."""

    tokens: tuple[str, ...]
    values: np.ndarray
    label: int


@dataclass(frozen=True)
class Injection:
    """How often a latent fires before and after its top tokens are put into prompts.

    Shares (0 to 1) of `n` prompts of the class `label`: at the probed position, and anywhere.
    """

    tokens: tuple[str, ...]
    label: int
    n: int
    probed: tuple[float, float]
    anywhere: tuple[float, float]


def of_task(study: Study, tag: str) -> pd.DataFrame:
    """`best_latents` of the SAE that goes head to head, or the published rows of table 5."""
    if tag in study.datasets and (source := first_sae(study)):
        return best_latents(study, tag, source)
    rows = published.section_rows(study, "latents")
    return published.single_latents(rows[rows["dataset"] == tag])


def of_tasks(study: Study) -> pd.DataFrame:
    """`latents_of_tasks` of the SAE that goes head to head, or the published rows of table 6."""
    if source := first_sae(study):
        return latents_of_tasks(study, source)
    return published.single_latents(published.section_rows(study, "single_latents"))


def languages(study: Study, latents: pd.DataFrame, translations: str = "") -> pd.DataFrame:
    """`language_probe` of the first of some latents; empty where no model is at hand."""
    if latents.empty or not (source := first_sae(study)):
        return pd.DataFrame(columns=["language", "text", "value", "highest"])
    path = Path(translations) if translations else None
    return language_probe(study, source, int(latents["latent"].iloc[0]), path)


def task_latents(study: Study, tag: str, source: SAESource) -> csr_array:
    """Latents of a task or shifted test set, (n_prompts, d_sae) float32; computed if lacking."""
    for _ in range(2):  # the second time where the store removed a damaged file
        compute_activations(study, [tag])
        found = read_latents(study.store, latents_input(study, tag, source))
        if found is not None:
            return found
    raise OSError(f"the latents of {tag} cannot be read back")


def best_latents(
    study: Study,
    tag: str,
    source: SAESource,
    *,
    among: int = AMONG,
    latents: csr_array | None = None,
) -> pd.DataFrame:
    """Let each of the latents that are best on the training rows tell the classes alone.

    The rows are those of the standard split with the profile's first seed; which class a latent
    stands for is decided on the training rows. `latents` are the task's if they are at hand.

    Returns:
        Columns dataset, sae_id, latent, rank (1 is best), sign (+1 or -1), train_auc, test_auc,
        shifted_auc (NaN without a shifted test set).
    """
    latents = task_latents(study, tag, source) if latents is None else latents
    dataset, split = study.datasets[tag], study.split(tag)
    labels = dataset.labels[split.train]
    kept = rank_latents(latents[split.train], labels, RANKINGS[0])[:among]
    columns = latents[:, kept].toarray()
    train = columns[split.train]
    above = _aucs(labels, train)
    sign = np.where(above >= 0.5, 1, -1)
    shifted = np.full(len(kept), np.nan)
    if _shifts(dataset):
        other = f"{tag}_shifted"
        moved = task_latents(study, other, source)[:, kept].toarray()
        shifted = _aucs(study.dataset(other).labels, sign * moved)
    return pd.DataFrame(
        {
            "dataset": tag,
            "sae_id": sae_id(source),
            "latent": kept,
            "rank": np.arange(1, len(kept) + 1),
            "sign": sign,
            "train_auc": np.maximum(above, 1 - above),
            "test_auc": _aucs(dataset.labels[split.test], sign * columns[split.test]),
            "shifted_auc": shifted,
        }
    )


def _shifts(dataset: ProbingDataset) -> bool:
    return REGIMES["covariate_shift"].tested(dataset) is not None


def _aucs(labels: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return np.array([auc(labels, column) for column in columns.T])


def top_rows(values: np.ndarray, prompts: Sequence[str], n: int) -> list[int]:
    """Rows of the `n` distinct prompts on which a latent, (n_prompts,), is largest and fires."""
    order = np.argsort(-values, kind="stable")
    first: dict[str, int] = {}
    for row in order[values[order] > 0]:
        first.setdefault(prompts[row], int(row))
    return list(first.values())[:n]


def top_contexts(
    study: Study, tag: str, source: SAESource, latents: Iterable[int], *, n: int = 6
) -> dict[int, list[Context]]:
    """The `n` distinct prompts on which each latent is largest at the probed position.

    A latent that fires on fewer has fewer.
    """
    wanted, dataset = [int(latent) for latent in latents], study.dataset(tag)
    columns = task_latents(study, tag, source)[:, wanted].toarray()
    chosen = [top_rows(column, dataset.prompts, n) for column in columns.T]
    rows = sorted({row for own in chosen for row in own})
    ids = token_ids(study, [dataset.prompts[row] for row in rows])
    pieces = dict(zip(rows, map(study_model(study).pieces, ids), strict=True))
    values = dict(zip(rows, _run(study, source, ids, wanted), strict=True))
    return {
        latent: [
            Context(pieces[row], values[row][0][:, place], int(dataset.labels[row])) for row in own
        ]
        for place, (latent, own) in enumerate(zip(wanted, chosen, strict=True))
    }


def token_ids(study: Study, prompts: Sequence[str]) -> list[list[int]]:
    """The tokens that the study's model reads of each prompt."""
    limit, bos = study.profile.max_tokens, study.model.prepend_bos
    return study_model(study).tokenize(prompts, limit, prepend_bos=bos)[0]


def _run(
    study: Study, source: SAESource, ids: list[list[int]], latents: Sequence[int]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Some latents at every token of each prompt, and at the probed position.

    They are (n_tokens, n_latents) and (n_latents,) float32.
    """
    model, sae = study_model(study), study_sae(study, source)
    lengths = np.array([len(row) for row in ids], dtype=np.int64)
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    with model.capture([study.main_hook]) as run:
        for rows in length_sorted_batches(lengths, study.profile.batch_tokens):
            output = run(*pad([ids[row] for row in rows], model))[study.main_hook]
            parts = []
            for row, states in zip(rows, output.float().cpu().numpy(), strict=True):
                read = states[: lengths[row]]
                probed = read[-1:] if study.model.position == "last" else read.mean(0)[None]
                parts.append(np.concatenate([read, probed]))
            values = encode(sae, np.concatenate(parts), study.device)[:, latents].toarray()
            ends = np.cumsum([len(part) for part in parts])[:-1]
            for row, own in zip(rows, np.split(values, ends), strict=True):
                found[int(row)] = (own[:-1], own[-1])
    return [found[row] for row in range(len(ids))]


def injection(
    study: Study, tag: str, source: SAESource, latent: int, contexts: Sequence[Context], *,
    n: int = 40, seed: int = 0,
) -> Injection:  # fmt: skip
    """Put a latent's top tokens into prompts of the class on which it fires less.

    The top tokens are at most three, those with the highest mean value over the contexts (0 in one
    without the token), special ones left out. They go into the middle of what the model reads of
    `n` prompts drawn at random (arXiv 2601.05679 suggests it).
    """
    dataset, tokenizer = study.dataset(tag), study_model(study).bridge.tokenizer
    fires = task_latents(study, tag, source)[:, [latent]].toarray()[:, 0] > 0
    label = int(fires[dataset.labels == 1].mean() < fires[dataset.labels == 0].mean())
    rows = np.flatnonzero(dataset.labels == label)
    drawn = np.random.default_rng(seed).choice(rows, size=min(n, len(rows)), replace=False)
    tokens = _top_tokens(contexts, set(tokenizer.all_special_tokens))
    added = "".join(f" {token}" for token in tokens)
    extra = tokenizer(added, add_special_tokens=False)["input_ids"]
    plain = token_ids(study, [dataset.prompts[row] for row in drawn])
    longer = [_inserted(row, extra, study_model(study).max_positions) for row in plain]
    read = _run(study, source, plain + longer, [latent])
    probed = np.array([last[0] > 0 for _, last in read]).reshape(2, -1).mean(axis=1)
    anywhere = np.array([(own > 0).any() for own, _ in read]).reshape(2, -1).mean(axis=1)
    return Injection(tokens, label, len(drawn), tuple(probed.tolist()), tuple(anywhere.tolist()))


def _inserted(ids: list[int], extra: list[int], most: int) -> list[int]:
    """Tokens with more in the middle, the second and later ones left out where they are too many.

    The first may be BOS.
    """
    middle = max(1, len(ids) // 2)
    longer = [*ids[:middle], *extra, *ids[middle:]]
    return longer[:1] + longer[1 + max(0, len(longer) - most) :]


def _top_tokens(contexts: Sequence[Context], special: set[str]) -> tuple[str, ...]:
    total: dict[str, float] = {}
    for context in contexts:
        own: dict[str, float] = {}
        for token, value in zip(map(str.strip, context.tokens), context.values, strict=True):
            own[token] = max(own.get(token, 0.0), float(value))
        for token, value in own.items():
            total[token] = total.get(token, 0.0) + value
    told = [token for token in total if token and token not in special and total[token] > 0]
    return tuple(sorted(told, key=lambda token: -total[token])[:TOP_TOKENS])


def neighbours(study: Study, source: SAESource, latent: int, n: int = 3) -> list[tuple[int, float]]:
    """The latents whose decoder directions are nearest, with the cosine, nearest first."""
    decoder = study_sae(study, source).W_dec.detach().float().cpu()
    cosines = (decoder @ decoder[latent]) / (decoder.norm(dim=1) * decoder[latent].norm() + 1e-12)
    cosines[latent] = -2  # itself comes last
    found = cosines.topk(min(n, len(cosines) - 1))
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))


def latents_of_tasks(study: Study, source: SAESource, *, among: int = AMONG) -> pd.DataFrame:
    """The best single latent of every task, and by one rule what it is (table 6).

    The best one has the highest AUC on the training rows; the paper takes the highest test AUC,
    which is the luckiest of 128. `judged` is the rule.

    Returns:
        Columns dataset, sae_id, latent, test_auc, shifted_auc, surface (the feature of the prompt
        that best tells where it fires), surface_auc, fires_here (share of the class on which it
        fires more), fires_elsewhere (mean share over the other tasks), flag.
    """
    tests = [f"{tag}_shifted" for tag, dataset in study.datasets.items() if _shifts(dataset)]
    compute_activations(study, [*study.tags, *tests])
    compute_latents(study, [(source, tag) for tag in (*study.tags, *tests)])
    rows, shares = [], []
    for tag, dataset in study.datasets.items():
        latents = task_latents(study, tag, source)
        alone = best_latents(study, tag, source, among=among, latents=latents)
        best = alone.loc[alone["train_auc"].idxmax()]
        fires = latents[:, [best["latent"]]].toarray()[:, 0] > 0
        feature, told = surface(dataset.prompts, fires)
        here = max(fires[dataset.labels == label].mean() for label in (0, 1))
        kept = best[["dataset", "sae_id", "latent", "test_auc", "shifted_auc"]].to_dict()
        rows.append(kept | {"surface": feature, "surface_auc": told, "fires_here": here})
        live = latents.indices[latents.data > 0]
        shares.append(np.bincount(live, minlength=latents.shape[1]) / len(dataset))
    table, fired = pd.DataFrame(rows), np.stack(shares)[:, [row["latent"] for row in rows]]
    others = fired.sum(axis=0) - np.diag(fired)
    table["fires_elsewhere"] = others / (len(rows) - 1) if len(rows) > 1 else np.nan
    evidence = ["test_auc", "surface_auc", "fires_here", "fires_elsewhere"]
    table["flag"] = [judged(*values) for values in table[evidence].itertuples(index=False)]
    return table


def judged(test_auc: float, surface_auc: float, fires_here: float, fires_elsewhere: float) -> str:
    """What a latent is to a task: ``spurious``, ``apt`` or ``unclear``.

    Spurious if a surface feature of the prompt tells where it fires (AUC of 0.9 or more). Apt if
    it tells the classes (0.8), no surface feature tells where it fires (0.8), and it fires on
    other tasks at most a quarter as often as on its own class. What is unknown speaks for nothing.
    """
    if surface_auc >= SPURIOUS_AUC:
        return "spurious"
    rare = fires_elsewhere <= FOREIGN_SHARE * fires_here
    return "apt" if test_auc >= APT_AUC and not surface_auc >= APT_AUC and rare else "unclear"


def language_probe(
    study: Study, source: SAESource, latent: int, translations: Path | None = None
) -> pd.DataFrame:
    """What a latent says to one phrase in many languages (figure 8).

    `translations` is a file as `load_translations` reads it, the paper's "living room" by default.

    Returns:
        Columns language, text, value (at the probed position) and highest (over all tokens).
    """
    table = load_translations(translations)
    read = _run(study, source, token_ids(study, table["text"].tolist()), [latent])
    return table.assign(
        value=[float(probed[0]) for _, probed in read],
        highest=[float(own.max(initial=0)) for own, _ in read],
    )
