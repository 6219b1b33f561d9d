"""A run from end to end: demonstrations, SFT, GRPO and evaluation. Each phase can be resumed."""

from __future__ import annotations

import copy
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import transformers
from datasets import Dataset
from tqdm import tqdm
from transformers import TrainerCallback
from trl import GRPOConfig, SFTConfig

from control_envs.utils.commands import guarded
from control_envs.utils.files import write_json
from control_envs.utils.optional import need
from llm_agent.data.demonstrations import DemonstrationConfig, derived_seed, make_demonstrations, make_prompts
from llm_agent.data.parquet import write_parquet
from llm_agent.data.reasoning import REASONINGS
from llm_agent.evaluation.evaluate import evaluate_run
from llm_agent.models import tiny as tiny_model
from llm_agent.models.chat import messages
from llm_agent.models.lengths import (
    check_max_length,
    check_spelling,
    completion_room,
    demonstration_tokens,
    prompt_tokens,
)
from llm_agent.models.loading import is_tiny, load_model, load_tokenizer, lora_config, quicken, resolve, weights_size
from llm_agent.models.tokenizer import longest_reasoning
from llm_agent.policies.language_model import LLMPolicy
from llm_agent.policies.vllm import check_vllm
from llm_agent.storage.run_folder import RUNS, RunFolder, Stopwatch
from llm_agent.training.arguments import Job, parse
from llm_agent.training.callbacks import add_phase_callbacks
from llm_agent.training.checks import check_disk, check_options
from llm_agent.training.flags import PERTURBATION, GRPOArguments
from llm_agent.training.grpo import ControlGRPOTrainer
from llm_agent.training.guards import StopOnFailure, written_or_said
from llm_agent.training.hardware import without_denormals
from llm_agent.training.held_out import HeldOut
from llm_agent.training.parse_check import check_parse_rate
from llm_agent.training.processes import before_phase, disconnect, is_main, locked_by_main, on_main, say
from llm_agent.training.quiet import silence_known_warnings
from llm_agent.training.replay import Replay
from llm_agent.training.rewards import reward_functions
from llm_agent.training.sft import Teaching, make_trainer

EVALUATION = "evaluation"
ADAPTER_SHARE = 20  # a model has at least so many times the weights of its LoRA adapter at the default rank
WORTH_PROCESSES = 1000  # optimal demonstrations for which starting processes pays
REPLAYED = 8  # demonstrations beside the completions of each GRPO step
SFT_SHOWN = {"loss": "loss", "mean_token_accuracy": "accuracy"}
GRPO_SHOWN = {"rewards/control/mean": "reward", "control/success": "success", "entropy": "entropy"}


def command(kind: str, argv: Sequence[str], finish: Callable[[RunFolder, bool], None]) -> int:
    """What ``train_sft`` and ``train_grpo`` do; bad input gives one line and exit code 2.

    Args:
        finish: what to do with the finished run, in the main process; told whether its page is wanted.
    """
    argv = list(argv)

    def work() -> None:
        job = parse(kind, argv)
        run = RunFolder(on_main(lambda: _open_or_create(job)))
        if job.args.resume:
            job = parse(kind, run.settings["argv"], run.settings.get("machine"))
        say(f"run folder: {run.path}")
        with locked_by_main(run.path), written_or_said(run):
            Pipeline(run, job).go()
            on_main(partial(finish, run, not job.args.skip_report))
        disconnect()

    with without_denormals():  # set before torch starts its threads, which inherit it
        return guarded(work, "stopped: go on with --resume", quiet=not is_main(), extra="llm")


def _open_or_create(job: Job) -> Path:
    folder = job.config.output_dir or None
    if job.args.resume:
        given = {word.partition("=")[0].replace("_", "-") for word in job.argv if word.startswith("--")}
        if others := ", ".join(sorted(given - {"--resume", "--output-dir"})):
            raise ValueError(f"a resumed run keeps its own settings: leave {others} out, or start another run")
        run = RunFolder.open(folder)
        if run.settings["kind"] != job.kind:
            raise ValueError(f"{run.path} is a run of train_{run.settings['kind']}: resume it with that command")
        return run.path
    _check(job)
    label = f"{job.args.system}-{Path(job.args.model).name}-seed{job.config.seed}"
    return RunFolder.create(folder, label, job.settings()).path


def _check(job: Job) -> None:
    """Checks what can be checked before training: the model loads, runs have a length, completions fit.

    Raises:
        ValueError: a check failed.
    """
    for phase, config in job.phases.items():
        check_options(config, phase, [reward.__name__ for reward in reward_functions(job.reward_version)])
    if job.args.load_in_4bit:
        need("bitsandbytes", "quantized")
        if is_tiny(job.args.model):
            raise ValueError("--load-in-4bit is for pretrained models; the embedded one needs all of its bits")
    kept = sum(config.save_total_limit or 1 for config in job.phases.values())
    check_disk(Path(job.config.output_dir or RUNS), _trained_bytes(job), kept)
    tokenizer = load_tokenizer(job.start or job.args.model)
    check_spelling(tokenizer, job.args.systems)
    if job.sft:
        check_max_length(tokenizer, job.args.systems, job.args.reasoning, job.sft.max_length)
    if job.grpo:
        room = completion_room(tokenizer, job.args.systems, job.grpo.max_completion_length, job.taught)
        if job.grpo.use_vllm:
            check_vllm(job.grpo, prompt_tokens(tokenizer, job.args.systems) + room)


def _trained_bytes(job: Job) -> int:
    """Bytes of the weights that a run trains, about: a LoRA adapter's are a small share of the model's."""
    name = job.start or job.args.model
    adapts = job.args.lora_r > 0 and not is_tiny(name)
    return weights_size(name) // (ADAPTER_SHARE if adapts else 1)


class Pipeline:
    """The phases of one run, in order. Finished phases are skipped.

    Args:
        callbacks: further callbacks for every training phase.
    """

    def __init__(self, run: RunFolder, job: Job, callbacks: Sequence[TrainerCallback] = ()):
        self.run, self.job, self.args, self.callbacks = run, job, job.args, callbacks

    def train(self) -> None:
        """Runs the unfinished phases, except the evaluation."""
        self._work_off({name: phase for name, phase in self._phases().items() if name != EVALUATION})

    def go(self) -> None:
        """Runs the unfinished phases, the evaluation last."""
        self._work_off(self._phases())

    def _work_off(self, phases: dict[str, Callable[[str], None]]) -> None:
        silence_known_warnings()
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        datasets.disable_progress_bars()
        left = on_main(lambda: [name for name in phases if not self.run.is_done(name)])
        for i, (name, phase) in enumerate(phases.items(), 1):
            if name in left:
                watch = Stopwatch(self.run.seconds_before(name))
                transformers.set_seed(self.job.config.seed)
                before_phase()
                phase(f"[{i}/{len(phases)}] {name}")
                on_main(partial(self.run.mark_done, name, watch()))

    def _phases(self) -> dict[str, Callable[[str], None]]:
        phases: dict[str, Callable[[str], None]] = {}
        if self.job.sft:
            phases |= {"data": _on_main(partial(self._data, self.job.sft)), "sft": partial(self._sft, self.job.sft)}
        elif self.job.start:
            phases["sft"] = _on_main(partial(self._start, self.job.start))
        if self.job.grpo:
            phases["grpo"] = partial(self._grpo, self.job.grpo)
        return {**phases, EVALUATION: _on_main(self._evaluate)}

    # -- phases --------------------------------------------------------------------------------------------

    def _data(self, config: SFTConfig, title: str) -> None:
        count = self.args.demonstration_count or _examples_seen(config)
        say(f"{title}: {count} {self.args.demonstrations} demonstrations")
        with tqdm(total=count, desc=title, unit="demo", dynamic_ncols=True, leave=False) as bar:
            rows, card = self._demonstrations(self.args.model, count, config.seed, bar.update)
        folder = self.run.path / "data"
        folder.mkdir(exist_ok=True)
        write_parquet(folder / "demonstrations.parquet", rows.to_parquet)
        write_json(folder / "card.json", card)

    def _sft(self, config: SFTConfig, title: str) -> None:
        config = _changed(config, output_dir=str(self.run.path / "sft"))
        rows = Dataset.from_parquet(str(self.run.path / "data" / "demonstrations.parquet"))
        model, tokenizer = load_model(self.args.model, config.seed, trainable=True, four_bit=self.args.load_in_4bit)
        if tiny_model.holds_tiny(model) and self._outgrows(tokenizer):
            model, tokenizer = tiny_model.renewed(model, tokenizer)
        longest = demonstration_tokens(tokenizer, self.args.systems, self.args.reasoning)
        quicken(model, bool(config.bf16), config.use_cpu, longest)
        adapter = lora_config(model, self.args.lora_r, self.args.lora_alpha)
        teaching = Teaching.of(self.args.model == tiny_model.NAME, self.args.reasoning)
        trainer = make_trainer(model, tokenizer, rows, config, adapter, teaching)
        self._train(trainer, tokenizer, "sft", title, SFT_SHOWN)

    def _start(self, source: str, title: str) -> None:
        """Copies another model as this run's SFT phase, so that both can be evaluated side by side."""
        say(f"{title}: starting from {resolve(source)}")
        model, tokenizer = load_model(source, self.job.config.seed)
        model.save_pretrained(str(self.run.path / "sft"))
        tokenizer.save_pretrained(self.run.path / "sft")

    def _grpo(self, config: GRPOConfig, title: str) -> None:
        args = self.args
        assert isinstance(args, GRPOArguments)
        if self.job.sft and args.patience and self.run.last_checkpoint("grpo") is None:
            on_main(partial(self._check_parse_rate, args, config.max_completion_length))
        model, tokenizer = load_model(self.run.path / "sft", trainable=True, four_bit=args.load_in_4bit)
        room = completion_room(tokenizer, args.systems, config.max_completion_length, self.job.taught)
        quicken(model, bool(config.bf16), config.use_cpu, prompt_tokens(tokenizer, args.systems) + room)
        config = _changed(config, output_dir=str(self.run.path / "grpo"), max_completion_length=room)
        # Initial states of the training split, but not those of the demonstrations.
        seed = derived_seed(config.seed, 1)
        prompts = make_prompts(args.systems, _prompts_seen(config), "train", seed, args.curriculum)
        prompts = prompts.map(lambda row: {"prompt": messages(row["prompt"])})
        config.shuffle_dataset = False  # the prompts are already in the intended order
        trainer = ControlGRPOTrainer(
            model=model,
            reward_funcs=reward_functions(self.job.reward_version),
            args=config,
            train_dataset=prompts,
            processing_class=tokenizer,
            peft_config=lora_config(model, args.lora_r, args.lora_alpha),
            replay=self._replay(config, tokenizer) if args.sft_weight else None,
            sft_weight=args.sft_weight,
            credit=args.credit,
            reward_version=args.reward_version,
        )
        model.generation_config.update(do_sample=True, **self.run.settings["sampling"])  # saved with the model
        if args.eval_every:
            trainer.add_callback(HeldOut(trainer, self.run, args.eval_every))
        self._train(trainer, tokenizer, "grpo", title, GRPO_SHOWN)

    def _replay(self, config: GRPOConfig, tokenizer: Any) -> Replay:
        """New demonstrations for each step: of the training split, but not those of SFT."""
        seed = derived_seed(config.seed, 2)
        rows, _ = self._demonstrations(self.run.path / "sft", config.max_steps * REPLAYED, seed)
        return Replay(rows, tokenizer, REPLAYED)

    def _evaluate(self, title: str) -> None:
        say(title)
        evaluate_run(self.run)

    # -- parts ---------------------------------------------------------------------------------------------

    def _demonstrations(
        self, model: str | Path, count: int, seed: int, progress: Callable[[int], Any] | None = None
    ) -> tuple[Dataset, dict[str, Any]]:
        """Demonstrations of the training split as the flags want them, for a model that learns from them."""
        args, usual = self.args, PERTURBATION if is_tiny(model) else 0.0
        config = DemonstrationConfig(
            kind=args.demonstrations,
            reasoning=args.reasoning,
            perturbation=usual if args.perturbation is None else args.perturbation,
            errors=args.errors,
            exploration=args.exploration,
            variations=args.variations,
        )
        # A script that calls a command as a function may not be ready to be imported by other processes.
        as_command = getattr(sys.modules["__main__"], "__spec__", None) is not None
        several = as_command and args.demonstrations == "optimal" and count >= WORTH_PROCESSES
        processes = os.cpu_count() or 1 if several else 1
        return make_demonstrations(args.systems, count, config, "train", seed, progress, processes)

    def _outgrows(self, tokenizer: Any) -> bool:
        """Whether demonstrations have longer reasoning than an older tiny model's tokenizer was made for."""
        return REASONINGS.index(self.args.reasoning) > REASONINGS.index(longest_reasoning(tokenizer))

    def _check_parse_rate(self, args: GRPOArguments, longest: int | None) -> None:
        """Checks the model that SFT left, loaded whole: the one to train may be divided among the processes."""
        policy = LLMPolicy.from_pretrained(self.run.path / "sft", four_bit=args.load_in_4bit)
        policy.max_new_tokens = completion_room(policy.tokenizer, args.systems, longest, self.job.taught)
        check_parse_rate(policy, args.systems, args.least_parsed, self.run)

    def _train(self, trainer: Any, tokenizer: Any, phase: str, title: str, shown: dict[str, str]) -> None:
        progress = add_phase_callbacks(trainer, self.run, phase, title, shown)
        limits = (self.args.patience, self.args.least_parsed) if isinstance(self.args, GRPOArguments) else ()
        for callback in (StopOnFailure(self.run, phase, *limits), *self.callbacks):
            trainer.add_callback(callback)
        with closing(progress):
            trainer.train(resume_from_checkpoint=self.run.last_checkpoint(phase))
        trainer.save_model(str(self.run.path / phase))
        on_main(partial(tokenizer.save_pretrained, self.run.path / phase))


def _on_main(phase: Callable[[str], None]) -> Callable[[str], None]:
    """A phase that runs in the main process only."""
    return lambda title: on_main(partial(phase, title))


def _changed(config: Any, **changes: Any) -> Any:
    """A copy with changed settings. (``dataclasses.replace`` would compute TRL's derived settings twice.)"""
    config = copy.copy(config)
    for key, value in changes.items():
        setattr(config, key, value)
    return config


def _examples_seen(config: SFTConfig) -> int:
    """Number of demonstrations that SFT uses if each is used once."""
    return config.max_steps * config.train_batch_size * config.gradient_accumulation_steps * config.world_size


def _prompts_seen(config: GRPOConfig) -> int:
    """Number of prompts that GRPO uses if each is used once."""
    completions = config.max_steps * config.gradient_accumulation_steps * config.train_batch_size * config.world_size
    return math.ceil(completions / config.num_iterations / (config.num_generations or 1))
