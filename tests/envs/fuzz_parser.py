"""Fuzzes the parser by coverage (needs atheris): python tests/envs/fuzz_parser.py -max_total_time=60 [CORPUS]."""

import sys

import atheris

with atheris.instrument_imports(
    include=[f"control_envs.text{name}" for name in ("", ".batch_parser", ".spellings", ".thoughts")]
):
    from control_envs.text import approximate_format_reward, exact_format_reward, parse_completion
    from control_envs.text.batch_parser import parse_completions

import numpy as np

from control_envs import get_reward

FORMAT = get_reward("1.3").format


def fuzz(data: bytes) -> None:
    """One input: alone and between the tags, for one control and for two, by both readers."""
    body = atheris.FuzzedDataProvider(data).ConsumeUnicode(4000)
    for text in (body, f"<CONTROLS>{body}</CONTROLS>", f"<CONTROLS></think><CONTROLS>{body}"):
        for m in (1, 2):
            parsed = parse_completion(text, 3, m)
            batch = parse_completions([text], 3, m)
            assert batch.verdicts == [parsed.verdict]
            assert (parsed.controls is None) == (parsed.verdict != "ok")
            if parsed.controls is not None:
                assert parsed.controls.shape == (3, m)
                assert np.isfinite(parsed.controls).all()
                assert np.array_equal(batch.controls[0], parsed.controls)
            strictly = parse_completion(text, 3, m, strict=True)
            if strictly.controls is not None:
                assert np.array_equal(strictly.controls, parsed.controls)
        exact_format_reward(text, FORMAT)
        approximate_format_reward(text, FORMAT)


if __name__ == "__main__":
    atheris.Setup(sys.argv, fuzz)
    atheris.Fuzz()
