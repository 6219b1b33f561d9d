"""A GRPO step of the tiny model: ours against TRL's with a constant reward.

    python -m benchmarks.grpo_step

All train tiny-base on the same prompts with the default preset, alternating in one process. "Ours" adds the
environment's three reward functions, their logged terms, the progress bar and metrics.jsonl. "As the commands train"
also samples by inversion (llm_agent/models/sampling.py) and computes all logits at once (llm_agent/training/grpo.py).
About three minutes.
"""

import statistics
import tempfile
import time
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from baselines.evaluation.tables import table as markdown

STEPS, ROUNDS = 7, 3


class Timed:
    """A reward function that measures its own time."""

    def __init__(self, reward):
        self.reward, self.__name__, self.seconds = reward, reward.__name__, 0.0

    def __call__(self, *args, **kwargs):
        start = time.perf_counter()
        result = self.reward(*args, **kwargs)
        self.seconds += time.perf_counter() - start
        return result


def constant(prompts, completions, **kwargs):
    return [0.0] * len(completions)


def train(rewards, ours, folder, quick=False):
    """Seconds of each step except the first."""
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback, ProgressCallback
    from trl import GRPOTrainer

    from llm_agent.data.demonstrations import make_prompts
    from llm_agent.models.lengths import completion_room
    from llm_agent.models.loading import load_model, quicken
    from llm_agent.storage.run_folder import RunFolder
    from llm_agent.training.arguments import parse
    from llm_agent.training.callbacks import add_phase_callbacks
    from llm_agent.training.grpo import ControlGRPOTrainer

    class Clock(TrainerCallback):
        def __init__(self):
            self.steps = []

        def on_step_begin(self, args, state, control, **kwargs):
            self.start = time.perf_counter()

        def on_step_end(self, args, state, control, **kwargs):
            self.steps.append(time.perf_counter() - self.start)

    job = parse("grpo", ["--max_steps", str(STEPS), "--save_strategy", "no", "--output-dir", str(folder / "trainer")])
    model, tokenizer = load_model("tiny-base")
    if not quick:
        del model.generate  # removes the instance's generate: sampling without inversion
    room = completion_room(tokenizer, ["double_integrator"], None)
    quicken(model, bool(job.grpo.bf16), job.grpo.use_cpu, room)
    job.grpo.max_completion_length = room
    prompts = make_prompts(["double_integrator"], 8 * STEPS)
    trainer = (ControlGRPOTrainer if quick else GRPOTrainer)(
        model=model, reward_funcs=rewards, args=job.grpo, train_dataset=prompts, processing_class=tokenizer
    )
    clock = Clock()
    if ours:
        add_phase_callbacks(trainer, RunFolder(folder), "grpo", "benchmark", {})
    else:
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
    trainer.add_callback(clock)
    with redirect_stderr(StringIO()):
        trainer.train()
    return clock.steps[1:]


def table():
    import datasets

    from llm_agent.training.hardware import without_denormals
    from llm_agent.training.rewards import reward_functions

    datasets.disable_progress_bars()
    theirs, ours, quick, rewarding = [], [], [], 0.0
    with tempfile.TemporaryDirectory() as folder, without_denormals():
        for _ in range(ROUNDS):
            theirs += train([constant], False, Path(folder))
            timed = [Timed(reward) for reward in reward_functions()]
            ours += train(timed, True, Path(folder))
            rewarding += sum(reward.seconds for reward in timed) / STEPS
            quick += train(reward_functions(), True, Path(folder), quick=True)
    step, floor, quicker = (statistics.median(times) for times in (ours, theirs, quick))
    rows = [
        ["TRL with a constant reward", f"{1e3 * floor:.0f}", "1.00"],
        ["ours", f"{1e3 * step:.0f}", f"{step / floor:.3f}"],
        ["ours, as the commands train", f"{1e3 * quicker:.0f}", f"{quicker / floor:.3f}"],
        ["rewards, of ours", f"{1e3 * rewarding / ROUNDS:.1f}", f"{rewarding / ROUNDS / step:.2%} of the step"],
    ]
    head = f"A GRPO step of 8 prompts x 16 completions, median of {len(ours)} (`python -m benchmarks.grpo_step`)"
    return f"{head}\n\n{markdown(['', 'ms', 'relative'], rows)}"


if __name__ == "__main__":
    print(table())
