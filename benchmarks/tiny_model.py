"""The tiny model's training step and generation on this machine: the cost of each design choice.

    python -m benchmarks.tiny_model

The first row is the chosen configuration; every other row changes one thing and is relative to it. A training step is
forward pass, loss and backward pass on 32 demonstrations, without the optimizer, which is timed separately.
"""

from typing import Any

from benchmarks import best_time, operator_shares

BATCH = 32


def model(**changes):
    import torch
    from transformers import LlamaForCausalLM

    from llm_agent.models.tiny import build_tiny

    built, tokenizer = build_tiny()
    attention = changes.pop("attention", "eager")
    if not changes:
        built.set_attn_implementation(attention)
        return built, tokenizer
    config = built.config
    for key, value in changes.items():
        setattr(config, key, value)
    config.head_dim = config.hidden_size // config.num_attention_heads
    torch.manual_seed(0)
    changed = LlamaForCausalLM(config)
    changed.set_attn_implementation(attention)
    return changed, tokenizer


def demonstrations(tokenizer, count=BATCH, reasoning="brief"):
    from llm_agent.data.demonstrations import DemonstrationConfig, make_demonstrations
    from llm_agent.training.sft import tokenize

    rows, _ = make_demonstrations(["double_integrator"], count, DemonstrationConfig(reasoning=reasoning))
    return tokenize(rows, tokenizer)


def batch(tokenizer, split_numbers=False, **kind):
    """Token ids and labels; ``split_numbers`` adds a separator token before each value."""
    import torch

    rows = demonstrations(tokenizer, **kind)
    ids, labels = torch.tensor(rows["input_ids"]), torch.tensor(rows["labels"])
    if split_numbers:
        ids, labels = (torch.cat([t, t[:, -51:-1]], dim=1) for t in (ids, labels))  # fifty more tokens to predict
    return ids, labels


def train_step(net, ids, labels, bf16, loss=None, masked=False):
    """A training step.

    Args:
        loss: of all logits and the labels; by default, as in training, without holding all logits.
        masked: with the mask of a text that is one token shorter than the others.
    """
    import torch

    from llm_agent.training.number_targets import linear_cross_entropy

    mask = torch.ones_like(ids[:, :-1])
    mask[0, -1] = 0

    def step():
        kept = labels[:, 1:] != -100
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            hidden = net.model(input_ids=ids[:, :-1], attention_mask=mask if masked else None, use_cache=False)[0][kept]
            logits = net.lm_head(hidden) if loss else None
        targets = labels[:, 1:][kept]
        if loss:
            total = loss(logits.float(), targets)
        else:
            dtype = torch.bfloat16 if bf16 else torch.float32
            near, shares = targets[:, None], torch.ones(len(targets), 1)
            total = linear_cross_entropy(hidden.to(dtype), net.lm_head.weight, near, shares) / len(targets)
        total.backward()
        net.zero_grad()

    return step


def steps_table():
    from llm_agent.training.hardware import hardware

    native = hardware().get("bf16", True)
    variants: dict[str, dict[str, Any]] = {
        "as chosen": {},
        "the other precision": {"bf16": not native},
        "torch's fused attention": {"attention": "sdpa"},
        "fused, the other precision": {"attention": "sdpa", "bf16": not native},
        "two tokens a value": {"split": True},
        "2 layers of width 192": {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 2},
        "8 layers": {"num_hidden_layers": 8},
        "width 256": {"hidden_size": 256, "intermediate_size": 704},
        "2 heads": {"num_attention_heads": 2, "num_key_value_heads": 2},
    }
    lines, base = ["| training step | parameters | ms | relative |", "|---|---|---|---|"], None
    for name, changes in variants.items():
        bf16, split = changes.pop("bf16", native), changes.pop("split", False)
        net, tokenizer = model(**changes)
        seconds = best_time(train_step(net, *batch(tokenizer, split), bf16))
        base = base or seconds
        label = f"{name} (bf16)" if bf16 else f"{name} (fp32)"
        parameters = f"{net.num_parameters() / 1e6:.2f} M"
        lines.append(f"| {label} | {parameters} | {1e3 * seconds:.0f} | {seconds / base:.2f} |")
    return "\n".join(lines)


def loss_table():
    import torch

    from llm_agent.models.freed_memory import keep_freed_memory
    from llm_agent.models.loading import quicken
    from llm_agent.training.hardware import hardware

    keep_freed_memory()  # as in training; this table is the last, since it lasts
    bf16, whole = hardware().get("bf16", True), torch.nn.functional.cross_entropy
    lines = ["| texts | all logits, a mask, ms | no mask | as chosen: neither | relative |", "|---|---|---|---|---|"]
    for reasoning, count in (("brief", 32), ("working", 8)):
        net, tokenizer = model()
        ids, labels = batch(tokenizer, count=count, reasoning=reasoning)
        quicken(net, bf16, True, ids.shape[1])
        steps = [train_step(net, ids, labels, bf16, *how) for how in ((whole, True), (whole,), ())]
        times = [1e3 * best_time(step) for step in steps]
        cells = " | ".join(f"{ms:.0f}" for ms in times)
        lines.append(f"| {count} of {ids.shape[1]} tokens | {cells} | {times[-1] / times[0]:.2f} |")
    return "\n".join(lines)


def batches_table():
    from llm_agent.training.hardware import hardware

    net, tokenizer = model()
    ids, labels = batch(tokenizer)
    lines = ["| batch | ms | tokens a second |", "|---|---|---|"]
    for size in (8, 16, 32, 64, 128, 256):
        repeat = -(-size // BATCH)
        a, b = ids.repeat(repeat, 1)[:size], labels.repeat(repeat, 1)[:size]
        seconds = best_time(train_step(net, a, b, hardware().get("bf16", True)))
        lines.append(f"| {size} | {1e3 * seconds:.0f} | {a.numel() / seconds:,.0f} |")
    return "\n".join(lines)


def optimizer_table():
    import torch

    from llm_agent.training.optim import MuonAdamW

    net, _ = model()
    for p in net.parameters():
        p.grad = torch.randn_like(p)
    optimizers = {
        "AdamW": torch.optim.AdamW(net.parameters()),
        "Muon (fp32) + AdamW": MuonAdamW(net, lr=1e-3),
        "Muon (bf16) + AdamW": MuonAdamW(net, lr=1e-3, dtype=torch.bfloat16),
    }
    lines = ["| optimizer step | ms |", "|---|---|"]
    lines += [f"| {name} | {1e3 * best_time(optimizer.step):.1f} |" for name, optimizer in optimizers.items()]
    return "\n".join(lines)


def generation_table():
    from control_envs import format_prompt, get_system, sample_states
    from llm_agent.policies.language_model import LLMPolicy

    policy = LLMPolicy(*model(), max_new_tokens=57)
    system = get_system("double_integrator")
    lines = ["| prompts generated together | s | tokens a second |", "|---|---|---|"]
    for size in (1, 16, 128, 512):
        prompts = [format_prompt(system, x) for x in sample_states(system, size)]
        policy.batch_size = size
        seconds = best_time(lambda p=prompts: policy.act(p, greedy=False, seed=0))
        lines.append(f"| {size} | {seconds:.2f} | {size * 57 / seconds:,.0f} |")
    return "\n".join(lines)


def profile_table(top=10):
    """Each operator's share of a training step's time."""
    from llm_agent.training.hardware import hardware

    net, tokenizer = model()
    step = train_step(net, *batch(tokenizer), hardware().get("bf16", True))
    lines = ["| operator | share of the step |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {share} |" for name, share in operator_shares(step, top, runs=3))])


def table():
    import torch

    head = f"The tiny model on {torch.get_num_threads()} threads, torch {torch.__version__.partition('+')[0]}."
    tables = (steps_table, batches_table, optimizer_table, generation_table, profile_table, loss_table)
    return "\n\n".join([head, *(make() for make in tables)])


if __name__ == "__main__":
    import datasets

    datasets.disable_progress_bars()
    print(table())
