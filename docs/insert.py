"""Inserts a command's output between the marker lines of a Markdown page.

python -m benchmarks.tiny_model | python docs/insert.py docs/tiny_model.md tiny_model
"""

import sys
from pathlib import Path

from llm_agent.report import insert

if __name__ == "__main__":
    insert(Path(sys.argv[1]), sys.argv[2], sys.stdin.read())
