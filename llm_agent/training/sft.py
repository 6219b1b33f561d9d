"""The SFT phase: TRL's SFTTrainer on demonstrations. The tiny model learns numbers faster with two changes:

* Muon on the hidden matrices (`llm_agent.training.optim`);
* soft targets for number tokens (`NumberTargets`): early in training, neighbouring values on the grid count as nearly
  right. The width of the targets shrinks to zero, so that training ends on plain cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedTokenizerBase
from trl import SFTConfig, SFTTrainer

from llm_agent.data.reasoning import WITH_STATES, Reasoning
from llm_agent.models.chat import encode as encode_prompts
from llm_agent.models.tiny import holds_tiny
from llm_agent.models.tokenizer import answer_begins
from llm_agent.training.length_order import SimilarLengths
from llm_agent.training.number_targets import NumberTargets, cross_entropy, linear_cross_entropy
from llm_agent.training.optim import MuonAdamW
from llm_agent.training.processes import is_sharded, keeps_matrices
from llm_agent.training.wrong_steps import WrongSteps

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = [
    "IGNORED",
    "Teaching",
    "TinySFTTrainer",
    "make_trainer",
    "tokenize",
]

# Initial widths of soft targets, in units of the value. Wide targets cost a pretrained model precision that it has to
# learn again; without soft targets, it does not learn rare controls (docs/findings.md).
WIDTH_FRESH, WIDTH_TRAINED = 0.06, 0.02
WIDTH_WORKING = 0.005  # half a step of the grid: numbers of the working are exact or wrong, but for its controls
WRONG_STEPS = 0.05  # how often wrong steps begin in the input: about a third of a long trajectory's steps are wrong
ANSWER_WEIGHT = 6.0  # the answer, a small part of the text, has to repeat its controls
IGNORED = -100  # label of a token that is not taught


@dataclass(frozen=True)
class Teaching:
    """How tokens are taught to the tiny model.

    Attributes:
        number_width: initial width of the soft targets (see `NumberTargets`); 0 for one-hot targets.
        bare_width: that of bare numbers; None for the same.
        wrong_steps: how often the input has wrong steps (see `WrongSteps`).
        answer_weight: weight in the loss of a token of the answer; that of a token of the reasoning is 1.
    """

    number_width: float = WIDTH_FRESH
    bare_width: float | None = None
    wrong_steps: float = 0.0
    answer_weight: float = 1.0

    @classmethod
    def of(cls, fresh: bool, reasoning: Reasoning) -> Teaching:
        """How a fresh or a pretrained model is taught a reasoning."""
        if reasoning == "working":
            return cls(WIDTH_WORKING, WIDTH_FRESH, WRONG_STEPS, ANSWER_WEIGHT)
        # Written states have to be exact: a fresh model learns them sooner with narrow targets (docs/tiny_model.md).
        return cls(WIDTH_FRESH if fresh and reasoning not in WITH_STATES else WIDTH_TRAINED)


class TinySFTTrainer(SFTTrainer):
    """SFTTrainer with soft targets for numbers and Muon, for the tiny model.

    Args:
        teaching: how tokens are taught.
        muon: Muon for the hidden matrices; otherwise, and where the matrices are flattened, AdamW for all weights.
    """

    def __init__(
        self,
        *args: Any,
        teaching: Teaching = Teaching(),
        muon: bool = True,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        tokenizer = self.processing_class
        assert isinstance(tokenizer, PreTrainedTokenizerBase)
        self._targets = NumberTargets(tokenizer, teaching.number_width, teaching.bare_width)
        self._wrong_steps = WrongSteps(tokenizer, teaching.wrong_steps, IGNORED)
        self._answer_weight, self._answer_begins = teaching.answer_weight, answer_begins(tokenizer)
        self._muon = muon

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        # In each step, processes wait for the one with the longest texts.
        together = self.args.train_batch_size * self.args.world_size
        return SimilarLengths([len(ids) for ids in rows["input_ids"]], together, self.args.seed)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """Muon and AdamW in one optimizer, or AdamW alone."""
        if not (self._muon and keeps_matrices(self.accelerator)):
            return super().create_optimizer(model)
        if self.optimizer is None:
            assert isinstance(self.model, torch.nn.Module)
            self.optimizer = MuonAdamW(
                self.model,
                lr=self.args.learning_rate,
                weight_decay=self.args.weight_decay,
                dtype=torch.bfloat16 if self.args.bf16 else torch.float32,
            )
        return self.optimizer

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Soft cross-entropy over the completion's tokens, weighted."""
        ids, labels = self._wrong_steps(inputs["input_ids"], inputs["labels"])
        # Without a mask, since texts are padded on the right: attention then skips what comes later.
        ids = ids[:, :-1]
        kept = labels[:, 1:] != IGNORED
        labels = labels[:, 1:][kept]
        near, shares = self._targets.of(labels, self.state.global_step / max(self.state.max_steps, 1))
        in_answer = (ids == self._answer_begins).cumsum(dim=1)[kept] > 0
        shares = shares * torch.where(in_answer, self._answer_weight, 1.0)[:, None]
        # The model's own forward pass is called, since wrappers of several processes act in it.
        if is_sharded(self.accelerator):
            logits = model(input_ids=ids, use_cache=False).logits[kept].float()
            losses = cross_entropy(logits, near, shares).sum()
        else:
            outputs = model(input_ids=ids, use_cache=False, output_hidden_states=True, logits_to_keep=1)
            head = self.accelerator.unwrap_model(model).get_output_embeddings().weight
            dtype = torch.bfloat16 if self.args.bf16 else head.dtype  # the output layer's, under autocast
            hidden = outputs.hidden_states[-1][kept].to(dtype)
            losses = linear_cross_entropy(hidden, head, near, shares)
            logits = None
        total = kept.sum() if num_items_in_batch is None else num_items_in_batch
        loss = losses / total
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes  # gradients are averaged, num_items_in_batch is a sum
        if self.state.global_step % self.args.logging_steps == 0:  # one batch per log is enough
            with torch.no_grad():
                logits = hidden @ head.to(dtype).T if logits is None else logits
                right = (logits.argmax(-1) == labels).float().mean().item()
            self._metrics["train"]["mean_token_accuracy"].append(right)
        return (loss, {}) if return_outputs else loss


def tokenize(dataset: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Encodes demonstrations: input_ids are the prompt and the completion, labels the taught completion.

    Both end with the end-of-sequence token; labels of the prompt are -100.

    Raises:
        ValueError: a perturbed completion and the one taught in its place have different numbers of tokens.
    """

    def ended(texts: list[str]) -> list[list[int]]:
        return [[*ids, tokenizer.eos_token_id] for ids in tokenizer(texts, add_special_tokens=False).input_ids]

    def encode(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
        prompts, answers = encode_prompts(tokenizer, rows["prompt"]).input_ids, ended(rows["completion"])
        taught = answers if rows["taught"] == rows["completion"] else ended(rows["taught"])
        if any(len(a) != len(t) for a, t in zip(answers, taught, strict=True)):
            raise ValueError(
                "perturbed demonstrations need a tokenizer with one token per number, such as the tiny model's: "
                "give --perturbation 0"
            )
        return {
            "input_ids": [p + a for p, a in zip(prompts, answers, strict=True)],
            "labels": [[IGNORED] * len(p) + t for p, t in zip(prompts, taught, strict=True)],
        }

    return dataset.map(encode, batched=True, remove_columns=dataset.column_names, desc="tokenizing")


def make_trainer(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    config: SFTConfig,
    peft_config: Any,
    teaching: Teaching = Teaching(),
) -> SFTTrainer:
    """The trainer of the SFT phase; ``teaching`` is for the tiny model only."""
    trainer_class = partial(TinySFTTrainer, teaching=teaching) if holds_tiny(model) else SFTTrainer
    return trainer_class(
        model=model,
        args=config,
        train_dataset=tokenize(dataset, tokenizer),
        processing_class=tokenizer,
        peft_config=peft_config,
    )
