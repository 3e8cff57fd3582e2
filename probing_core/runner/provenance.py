"""What a run was: profile, model, versions, commit, machine."""

import hashlib
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

import probing_core
from probing_core.experiments.study import Study

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "torch",
    "transformer-lens",
    "sae-lens",
    "scikit-learn",
    "xgboost",
    "numpy",
    "pandas",
    "sae-probes",
    "jupyter-book",
    "papermill",
)
_MADE_OF = {".py", ".yaml", ".json", ".parquet"}


def provenance(study: Study) -> dict[str, Any]:
    """Everything a page must say about the run behind it, as JSON values."""
    profile = study.profile
    ran = study.either(
        lambda: {
            "rows": "computed here",
            "revision": study.revision,
            "dtype": study.dtype,
            "device": study.device,
        },
        lambda: {"rows": "as the authors published them"},
    )
    return {
        "profile": profile.name,
        "model": study.model.name,
        **ran,
        "position": study.model.position,
        "prepend_bos": study.model.prepend_bos,
        "max_tokens": profile.max_tokens,
        "main_hook": study.main_hook,
        "n_tasks": len(study.tags),
        "n_prompts": sum(len(dataset) for dataset in study.datasets.values()),
        "protocol": profile.protocol,
        "solver": profile.solver,
        "seeds": list(profile.seeds),
        "versions": package_versions(),
        "commit": commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
    }


def package_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    own = {"python": platform.python_version(), "probing-core": probing_core.__version__}
    return own | {package: version(package) for package in _PACKAGES}


@cache
def commit() -> str:
    """Short commit of the working tree, with ``+`` when tracked files differ from it."""
    try:
        short = _git("rev-parse", "--short=10", "HEAD")
        return short + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> dict[str, Any]:
    """Processor, cores, memory; no host or user name."""
    return {
        "cpu": _cpu_name(),
        "cores": psutil.cpu_count() or 1,
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


@cache
def code_digest() -> str:
    """Digest of the packages' code and data, so that a change of them makes pages stale."""
    digest = hashlib.sha256()
    for package in ("probing_core", "reproduction"):
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in _MADE_OF:
                digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=20
    )
    return done.stdout.strip()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
