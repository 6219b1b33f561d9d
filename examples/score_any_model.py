"""Scores a batch of completions of any model: rewards and the parser's verdicts.

python examples/score_any_model.py
"""

from control_envs import format_prompt, get_system, sample_states, score_completions

system = get_system("van_der_pol", mu=1.5)
x0 = sample_states(system, 3, split="test")
prompts = [format_prompt(system, x) for x in x0]

# Generate these with your model; here they are fixed examples.
completions = [
    f"<REASONING>do nothing</REASONING><CONTROLS>{', '.join(['0.00'] * 50)}</CONTROLS>",
    "<REASONING>too short</REASONING><CONTROLS>1.0, 2.0</CONTROLS>",
    "I would push gently to the left.",
]

scores = score_completions(system, x0, completions)
for prompt, total, verdict in zip(prompts, scores.total, scores.verdicts, strict=True):
    print(f"{total:7.2f}  {verdict:13s} {prompt[:95]}...")
