"""Uploads a run's model to the Hugging Face hub, with a card that states its training and its results."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from control_envs.utils.optional import need
from llm_agent.evaluation.markdown import to_markdown
from llm_agent.storage.run_folder import RunFolder


def model_card(run: RunFolder, repository: str) -> str:
    """The README.md of a run's model: plants, reward version, figures with intervals, commands.

    Raises:
        ValueError: the run is not evaluated yet.
    """
    reports, record, settings = run.evaluation(), run.record, run.settings
    head = ["---", "library_name: transformers", "tags: [control, reinforcement-learning, grpo, control-grpo]", "---"]
    base = settings["model"]
    parts = [
        "\n".join(head),
        f"# {repository.rpartition('/')[2]}",
        f"Writes control sequences for {', '.join(settings['systems'])} as text. Trained from `{base}` by "
        f"{' and '.join(phase.upper() for phase in record['phases'] if phase in ('sft', 'grpo'))} "
        f"(reward {settings['reward_version']}, seed {settings['seed']}) with control-grpo, commit {record['commit']}:",
        f"    {record['command']}",
        f"Use it:\n\n    from llm_agent.policies.language_model import LLMPolicy\n\n"
        f'    policy = LLMPolicy.from_pretrained("{repository}")\n    completions = policy.act(prompts)',
        *(to_markdown(report) for report in reports.values()),
    ]
    return "\n\n".join(parts) + "\n"


def push(run: RunFolder, repository: str, apply: bool, public: bool = False) -> None:
    """Uploads a run's last model with its card; without ``apply`` only prints the card and lists the files.

    Raises:
        ValueError: the name is not owner/name, or the run is not evaluated.
    """
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise ValueError(f"a repository of the hub is named owner/name, not {repository!r}")
    card = model_card(run, repository)
    source = run.model_folder()
    files = sorted(path for path in source.iterdir() if path.is_file() and path.suffix in (".json", ".safetensors"))
    if not apply:
        print(card)
        print("\n".join(f"would upload {path.name} ({path.stat().st_size / 1e6:.1f} MB)" for path in files))
        print(f"upload them to {repository} with --apply")
        return
    hub = need("huggingface_hub", "llm")
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            shutil.copy(path, folder)
        (Path(folder) / "README.md").write_text(card)
        try:
            hub.create_repo(repository, private=not public, exist_ok=True)
            print(hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload"))
        except (OSError, hub.errors.HfHubHTTPError) as error:
            raise ValueError(f"cannot upload to {repository}: {error}") from None
