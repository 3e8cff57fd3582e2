"""What a run was: profile, model, versions, commit, machine."""

import hashlib
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
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


def provenance(study: Study) -> dict[str, Any]:
    """Everything a page must say about the run behind it, as JSON values."""
    profile = study.profile
    return {
        "profile": profile.name,
        "rows": "as the authors published them" if study.published else "computed here",
        "model": study.model.name,
        "revision": study.revision,
        "dtype": study.dtype,
        "device": study.device,
        "position": profile.position,
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


@cache
def package_versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    found = {"python": platform.python_version(), "probing-core": probing_core.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def commit() -> str:
    """Short commit of the working tree, with ``+`` when tracked files differ from it."""
    try:
        short = _git("rev-parse", "--short=10", "HEAD")
        return short + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
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
    """Digest of the package's source, so that a change of it makes pages stale."""
    digest = hashlib.sha256()
    for path in sorted((ROOT / "probing_core").rglob("*")):
        if path.suffix in {".py", ".yaml"}:
            digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:20]


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
