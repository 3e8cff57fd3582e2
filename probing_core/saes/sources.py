"""Where SAEs come from: trained here, released through SAELens, or a local folder."""

import fnmatch
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download

from probing_core.errors import UserError, nearest
from probing_core.models.adapter import HUB_ERRORS, hub_commit, reach_hub
from probing_core.models.hub import refuse_damaged, why_refused
from probing_core.profiles import FolderSAE, ReleasedSAE, SAESource, TrainedSAE
from probing_core.store import sha256_of

_FILES = ("cfg.json", "sae_weights.safetensors")
_TOLD = {
    "control": "{}",
    "steps": "{}steps",
    "batch_tokens": "batch{}",
    "learning_rate": "lr{}",
    "seed": "seed{}",
}
"""How the id of a trained SAE tells the settings that differ from the defaults."""


def sae_id(source: SAESource) -> str:
    """The name of an SAE in rows and pages: its own, or one made of what it is."""
    return source.name or _default_id(source)


def _default_id(source: SAESource) -> str:
    if isinstance(source, ReleasedSAE):
        return f"{source.release}/{source.id}"
    if isinstance(source, FolderSAE):
        return source.folder.resolve().name
    changed = source.model_dump(exclude_defaults=True)
    told = [text.format(changed[name]) for name, text in _TOLD.items() if name in changed]
    return "-".join([source.architecture, f"w{source.width}", f"l0_{source.l0}", *told])


def identity(source: SAESource) -> dict[str, Any]:
    """What decides an SAE's latents, in JSON values: not its name or its gate.

    Training settings, the SHA-256 of a folder's files, or release, id and commit on the hub.

    Raises:
        UserError: If the folder or the release cannot be read.
    """
    if isinstance(source, TrainedSAE):
        # a field that is younger than SAEs in stores counts where it is used
        young = set() if source.control else {"control"}
        return source.model_dump(mode="json", exclude={"name", "gate"} | young)
    if isinstance(source, FolderSAE):
        _refuse_incomplete(source.folder)
        return {name: sha256_of(source.folder / name) for name in _FILES}
    with _plain_errors(source):
        loader = {"loader": source.loader} if source.loader else {}
        commit = hub_commit(repository(source)[0])
        return {"release": source.release, "id": source.id, "commit": commit} | loader


def expected_l0(source: SAESource) -> float | None:
    """The L0 a source promises: its setting, or what the profile or SAELens says of a release."""
    if isinstance(source, FolderSAE):
        return None
    if source.l0 is None:
        from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

        listed = get_pretrained_saes_directory().get(source.release)
        return float(listed.expected_l0[source.id]) or None if listed else None
    return float(source.l0)


def architecture(source: SAESource) -> str | None:
    """What rows call an SAE's architecture: a control's is its own; ``None`` asks the SAE."""
    if isinstance(source, TrainedSAE):
        return source.control or source.architecture
    return source.architecture if isinstance(source, ReleasedSAE) else None


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The SAEs that ids or patterns such as ``*l0_16`` name, each once, in the patterns' order.

    Raises:
        UserError: If there are SAEs, but none that is named.
    """
    known = list(names)
    chosen = dict.fromkeys(name for p in patterns for name in fnmatch.filter(known, p))
    if known and not chosen:
        raise UserError(f"quiver_saes: no SAE '{patterns[0]}'. {nearest(patterns[0], known)}")
    return list(chosen)


def repository(source: ReleasedSAE) -> tuple[str, str]:
    """The hub repository of a released SAE, and its folder there."""
    from sae_lens.loading.pretrained_saes_directory import get_repo_id_and_folder_name

    return get_repo_id_and_folder_name(source.release, source.id)


def width_name(source: SAESource) -> str:
    """A name that sources of the same width share; its own id where a source does not tell."""
    if isinstance(source, TrainedSAE):
        return str(source.width)
    found = re.search(r"width_(\d+[km]?)", source.id if isinstance(source, ReleasedSAE) else "")
    return found.group(1) if found else sae_id(source)


def expand(sources: tuple[SAESource, ...]) -> list[SAESource]:
    """Replace patterns in released ids by the ids of the release.

    Raises:
        UserError: If a release or an id is unknown; the message offers the nearest. If two SAEs
            have one id; the message names both.
    """
    expanded: list[SAESource] = []
    for source in sources:
        if not isinstance(source, ReleasedSAE):
            expanded.append(source)
            continue
        known = _release_ids(source)
        matches = fnmatch.filter(known, source.id)
        if not matches:
            hint = nearest(source.id, known)
            raise UserError(f"Release '{source.release}' has no SAE '{source.id}'. {hint}")
        expanded += [source.model_copy(update={"id": match}) for match in sorted(matches)]
    seen: dict[str, SAESource] = {}
    for source in expanded:
        if (name := sae_id(source)) in seen:
            places = [str(getattr(s, "folder", _default_id(s))) for s in (seen[name], source)]
            raise UserError(
                f"Two SAEs have the id '{name}': {' and '.join(places)}."
                " Give one of them a name of its own ('name' in the profile), or drop it."
            )
        seen[name] = source
    return expanded


def load_external(source: ReleasedSAE | FolderSAE) -> Any:
    """Load an SAE that was not trained here; `UserError` if it is not to be had."""
    if isinstance(source, FolderSAE):
        return load_folder(source.folder)
    from sae_lens import SAE
    from sae_lens.loading import pretrained_sae_loaders as loaders

    named = loaders.NAMED_PRETRAINED_SAE_LOADERS
    if source.loader and source.loader not in named:
        raise UserError(f"SAELens has no loader '{source.loader}'. {nearest(source.loader, named)}")
    with _plain_errors(source), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = named[source.loader or loaders.get_conversion_loader_name(source.release)]
        sae = SAE.from_pretrained(source.release, source.id, converter=_sized(read))
        place = repository(source)
        refuse_damaged(*place)
        if source.release.startswith("llama_scope_lx"):
            _gate_like_the_authors(sae, *place)
        return sae


def named_source(name: str | Path) -> ReleasedSAE | FolderSAE:
    """A folder that SAELens wrote, or one SAE of a release by ``RELEASE:ID``.

    Raises:
        UserError: If it is neither.
    """
    release, colon, within = str(name).partition(":")
    if isinstance(name, Path) or Path(name).is_dir():
        _refuse_incomplete(folder := Path(name).resolve())
        return FolderSAE(folder=folder)
    if not colon:
        raise UserError(f"There is no folder '{name}'; an SAE of a release is RELEASE:ID.")
    found = expand((ReleasedSAE(release=release, id=within),))
    if len(found) > 1:
        raise UserError(f"'{name}' names {len(found)} SAEs: give the id of one.")
    return found[0]  # type: ignore[return-value]


def stated_hook(sae: Any) -> str | None:
    """The hook that a folder or an SAE of SAELens says it reads, without loading weights.

    Raises:
        UserError: If a folder's configuration cannot be read.
    """
    if not isinstance(sae, FolderSAE):
        metadata = getattr(getattr(sae, "cfg", None), "metadata", None)
        return getattr(metadata, "hook_name", None)
    try:
        config = json.loads((sae.folder / "cfg.json").read_text("utf-8"))
        return (config.get("metadata") or {}).get("hook_name")
    except (ValueError, AttributeError):
        raise UserError(f"{sae.folder / 'cfg.json'} is no configuration of SAELens.") from None


def _sized(read: Callable[..., Any]) -> Callable[..., Any]:
    """A loader of SAELens that takes sizes from the weights; some take them from names."""

    def sized(**wanted: Any) -> Any:
        config, weights, sparsity = read(**wanted)
        config["d_in"], config["d_sae"] = weights["W_enc"].shape
        return config, weights, sparsity

    return sized


def _gate_like_the_authors(sae: Any, where: str, folder: str) -> None:
    """Weigh Llama Scope's thresholds by decoder norms, as its configuration asks.

    There a latent is on if what it adds to the (normalised) output is longer than the threshold.
    SAELens compares the latent alone, which is the same only where decoders have norm one.
    """
    with open(hf_hub_download(where, f"{folder}/hyperparams.json"), encoding="utf-8") as file:
        config = json.load(file)
    if config["act_fn"] == "jumprelu" and config.get("sparsity_include_decoder_norm"):
        with torch.no_grad():  # SAELens has folded the scale of the activations in by now
            scale = sae.cfg.d_in**0.5 / config["dataset_average_activation_norm"]["out"]
            sae.threshold /= sae.W_dec.norm(dim=1) * scale


def load_folder(folder: Path, device: str = "cpu") -> Any:
    """Load an SAE that SAELens saved; `UserError` if the folder does not hold one."""
    from sae_lens import SAE

    _refuse_incomplete(folder)
    try:
        return SAE.load_from_disk(folder, device=device)
    except Exception as error:  # whatever a foreign file makes of SAELens and torch
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{folder} is not a readable SAELens SAE: {reason}.") from None


def _refuse_incomplete(folder: Path) -> None:
    for name in _FILES:
        if not (folder / name).is_file() or not os.access(folder / name, os.R_OK):
            raise UserError(
                f"{folder} holds no readable {name}; an SAE folder is what SAELens's save_model"
                " writes."
            )


@contextmanager
def _plain_errors(source: ReleasedSAE) -> Iterator[None]:
    reach_hub()
    try:
        yield
    except HUB_ERRORS as error:
        what = f"SAE '{_default_id(source)}'"
        if refused := why_refused(what, repository(source)[0], error):
            raise UserError(refused) from None
        reason = " ".join(str(error).split())[:140]
        raise UserError(
            f"{what} is not on this machine and the hub did not serve it."
            f" Download it where there is a network, or give a local folder. ({reason})"
        ) from None


def _release_ids(source: ReleasedSAE) -> list[str]:
    """Ids of a release SAELens lists; a hub repository (``owner/name``) has the one asked for."""
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    directory = get_pretrained_saes_directory()
    if source.release in directory:
        return list(directory[source.release].saes_map)
    if "/" in source.release and not set(source.id) & set("*?["):
        return [source.id]
    raise UserError(f"Unknown SAE release '{source.release}'. {nearest(source.release, directory)}")
