"""Converts a notebook to a page: its text, code and stored outputs.

python docs/generate/notebook.py docs/rewards_story.ipynb     # runs the notebook and stores its outputs
"""

import json
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def pages(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """The path in the site and the content of the page (Markdown) and of its pictures (PNG)."""
    parts = []
    for i, cell in enumerate(json.loads(path.read_text())["cells"]):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for j, output in enumerate(cell["outputs"]):
            data = output.get("data", {})
            if "image/png" in data:
                uri = f"{path.stem}/{i}_{j}.png"
                yield uri, b64decode("".join(data["image/png"]))
                parts.append(f"![output of the code above]({uri}){{ .drawn }}")
            else:
                parts.append(_text(output, data))
    yield f"{path.stem}.md", "\n\n".join(parts) + "\n"


def _text(output: dict[str, Any], data: dict[str, Any]) -> str:
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    return f"```text\n{''.join(output.get('text') or data['text/plain']).rstrip()}\n```"


def run(path: Path) -> None:
    """Runs a notebook and stores its outputs, without the times at which cells ran."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    NotebookClient(notebook, record_timing=False).execute()
    nbformat.write(notebook, path)


if __name__ == "__main__":
    run(Path(sys.argv[1]))
