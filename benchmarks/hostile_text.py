"""The time that the parser takes for 100 kB of adversarial text.

python -m benchmarks.hostile_text
"""

from benchmarks import best_time
from control_envs import format_completion, parse_completion
from control_envs.text import MAX_CHARS
from control_envs.utils import tables

UNITS = ["[", "1", "1,", "1e", "+-", "nan,", " ", "0.10, ", "<CONTROLS", "</CONTROLS", "\u0661"]


def hostile(unit):
    head, tail = "<CONTROLS>", "</CONTROLS>"
    room = MAX_CHARS - len(head) - len(tail)
    return head + (unit * (room // len(unit) + 1))[:room] + tail


def table():
    texts = {f"{unit!a} over and over": hostile(unit) for unit in UNITS}
    texts["an ordinary answer"] = format_completion([[0.1]] * 50)
    rows = []
    for name, text in texts.items():
        ms = 1e3 * best_time(lambda text=text: parse_completion(text, 50))
        rows.append([name, f"{len(text):,}", parse_completion(text, 50).verdict, f"{ms:.2f}"])
    return tables.table(["text", "characters", "verdict", "ms"], rows)


if __name__ == "__main__":
    print(table())
