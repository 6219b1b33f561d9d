"""Generation with the tiny model: `model.generate` against a minimal decoding loop, and the time of each operator.

    python -m benchmarks.generation

The loop is a lower bound: one matrix product for query, key and value, a preallocated key-value cache, no padding mask,
no end-of-sequence check, and one part of the batch per thread. Its greedy tokens must be the same.
"""

from concurrent.futures import ThreadPoolExecutor

import torch
from torch.nn import functional

from benchmarks import best_time, operator_shares
from control_envs.utils import tables

NEW, LEAST_PIECE = 57, 16
BATCHES = (1, 16, 128, 500)
LONG = (57, 500, 1500)  # tokens


class Weights:
    """The model's weights as the loop needs them; built for each call, since training changes them."""

    def __init__(self, model, positions):
        config = model.config
        self.heads, self.size = config.num_attention_heads, config.hidden_size // config.num_attention_heads
        self.epsilon, self.width = config.rms_norm_eps, config.hidden_size
        self.embedding, self.head = model.model.embed_tokens.weight.detach(), model.lm_head.weight.detach()
        self.final_norm = model.model.norm.weight.detach()
        self.layers = [self._layer(layer) for layer in model.model.layers]
        cos, sin = model.model.rotary_emb(self.embedding, torch.arange(positions)[None])
        self.cos, self.sin = cos[0].detach(), sin[0].detach()

    @staticmethod
    def _layer(layer):
        attention, mlp = layer.self_attn, layer.mlp
        return {
            "norm": layer.input_layernorm.weight.detach(),
            "qkv": torch.cat([p.weight.detach() for p in (attention.q_proj, attention.k_proj, attention.v_proj)]),
            "out": attention.o_proj.weight.detach(),
            "mlp_norm": layer.post_attention_layernorm.weight.detach(),
            "gate_up": torch.cat([mlp.gate_proj.weight.detach(), mlp.up_proj.weight.detach()]),
            "down": mlp.down_proj.weight.detach(),
        }


def decode_piece(w, prompts, new):
    """Greedy completions (b, new) of prompts (b, L)."""
    rows, start = prompts.shape
    room = start + new
    keys = torch.empty(len(w.layers), rows, w.heads, room, w.size)
    values = torch.empty_like(keys)
    chosen = torch.empty(rows, new, dtype=prompts.dtype)
    tokens, at = prompts, 0
    for i in range(new):
        logits = forward(w, tokens, at, keys, values)
        at += tokens.shape[1]
        tokens = chosen[:, i : i + 1] = logits.argmax(-1)[:, None]
    return chosen


def forward(w, tokens, at, keys, values):
    """Logits (b, V) after tokens (b, q) at positions from ``at`` on; writes their keys and values."""
    rows, q = tokens.shape
    x = w.embedding[tokens]
    cos, sin = w.cos[at : at + q], w.sin[at : at + q]
    for i, layer in enumerate(w.layers):
        normed = functional.rms_norm(x, (w.width,), layer["norm"], w.epsilon)
        qkv = functional.linear(normed, layer["qkv"]).view(rows, q, 3, w.heads, w.size).permute(2, 0, 3, 1, 4)
        query, key = rotate(qkv[:2], cos, sin)
        keys[i, :, :, at : at + q], values[i, :, :, at : at + q] = key, qkv[2]
        attended = functional.scaled_dot_product_attention(
            query, keys[i, :, :, : at + q], values[i, :, :, : at + q], is_causal=q > 1
        )
        x = x + functional.linear(attended.transpose(1, 2).reshape(rows, q, w.width), layer["out"])
        normed = functional.rms_norm(x, (w.width,), layer["mlp_norm"], w.epsilon)
        gate, up = functional.linear(normed, layer["gate_up"]).chunk(2, dim=-1)
        x = x + functional.linear(functional.silu(gate) * up, layer["down"])
    return functional.linear(functional.rms_norm(x[:, -1], (w.width,), w.final_norm, w.epsilon), w.head)


def rotate(x, cos, sin):
    """Rotary position embedding (Su et al., arXiv 2104.09864), in transformers' layout of two halves."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


def decode(model, prompts, new=NEW):
    """Prompts (B, L) and their greedy completions."""
    weights = Weights(model, prompts.shape[1] + new)
    rows = len(prompts)
    pieces = max(1, min(torch.get_num_threads(), rows // LEAST_PIECE))

    def work(piece):
        if pieces > 1:
            torch.set_num_threads(1)  # for the operations of this worker
        with torch.inference_mode():
            return decode_piece(weights, prompts[rows * piece // pieces : rows * (piece + 1) // pieces], new)

    if pieces == 1:
        return torch.cat([prompts, work(0)], dim=1)
    with ThreadPoolExecutor(pieces) as pool:
        return torch.cat([prompts, torch.cat(list(pool.map(work, range(pieces))))], dim=1)


def sampling_rows(model, ids):
    """Rows that compare sampling by transformers with sampling by `llm_agent.models.sampling`."""
    from transformers import GenerationConfig

    from llm_agent.models.sampling import sample_by_inversion

    settings = {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.2}
    config = GenerationConfig(max_new_tokens=NEW, min_new_tokens=NEW, pad_token_id=0, **settings)

    def times():
        mask = torch.ones_like(ids)
        return [
            best_time(
                lambda n=n: model.generate(input_ids=ids[:n], attention_mask=mask[:n], generation_config=config), 3
            )
            for n in BATCHES
        ]

    before = times()
    sample_by_inversion(model)
    after = times()
    return [
        [f"{n}", f"{1e3 * a:.0f}", f"{1e3 * b:.0f}", f"{a / b:.2f}"]
        for n, a, b in zip(BATCHES, before, after, strict=True)
    ]


def cache_rows(model, ids):
    """Rows that compare transformers' cache of keys and values with `llm_agent.models.growing_cache`."""
    from transformers import GenerationConfig

    from llm_agent.models.growing_cache import generate_with_room

    def times():
        return [
            best_time(
                lambda n=n: model.generate(
                    input_ids=ids[:64],
                    attention_mask=torch.ones_like(ids[:64]),
                    generation_config=GenerationConfig(max_new_tokens=n, min_new_tokens=n, pad_token_id=0),
                ),
                2,
            )
            for n in LONG
        ]

    before = times()
    generate_with_room(model)
    after = times()
    return [[f"{n}", f"{a:.2f}", f"{b:.2f}", f"{a / b:.2f}"] for n, a, b in zip(LONG, before, after, strict=True)]


def table():
    from transformers import GenerationConfig

    from control_envs import format_prompt, get_system, sample_states
    from llm_agent.models.tiny import build_tiny

    model, tokenizer = build_tiny()
    model.eval()
    system = get_system("double_integrator")
    ids = tokenizer(
        [format_prompt(system, x) for x in sample_states(system, max(BATCHES))], return_tensors="pt"
    ).input_ids
    config = GenerationConfig(max_new_tokens=NEW, pad_token_id=0, eos_token_id=len(tokenizer), do_sample=False)

    def plain(prompts):
        with torch.inference_mode():
            return model.generate(input_ids=prompts, attention_mask=torch.ones_like(prompts), generation_config=config)

    rows = []
    for size in BATCHES:
        prompts = ids[:size]
        same = torch.equal(plain(prompts), decode(model, prompts))
        a, b = best_time(lambda p=prompts: plain(p), 3), best_time(lambda p=prompts: decode(model, p), 3)
        rate = f"{size * NEW / a:,.0f}"
        rows.append([f"{size}", f"{1e3 * a:.0f}", f"{1e3 * b:.0f}", f"{a / b:.2f}", rate, "yes" if same else "NO"])
    weights = Weights(model, ids.shape[1] + NEW)
    sampled, cached = sampling_rows(model, ids), cache_rows(model, ids)

    def alone():
        with torch.inference_mode():
            decode_piece(weights, ids[:128], NEW)

    head = ["prompts", "generate [ms]", "bare loop [ms]", "ratio", "generate, tokens a second", "same tokens"]
    title = f"{NEW} tokens on {torch.get_num_threads()} threads (`python -m benchmarks.generation`)"
    share = tables.table(["operator of the bare loop, 128 prompts", "share"], operator_shares(alone, 6))
    drawn = tables.table(
        ["prompts, sampled (min_p 0.2)", "generate [ms]", "drawing by inversion [ms]", "ratio"], sampled
    )
    room = tables.table(["tokens, 64 prompts", "generate [s]", "a cache with room to grow [s]", "ratio"], cached)
    return f"{title}\n\n{tables.table(head, rows)}\n\n{drawn}\n\n{room}\n\n{share}"


if __name__ == "__main__":
    print(table())
