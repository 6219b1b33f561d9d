"""Model folders as users have them: real architectures with few layers, a byte-level BPE tokenizer trained here."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from control_envs import SYSTEMS, sample_states
from llm_agent.data.demonstrations import DemonstrationConfig, demonstrate, demonstration_rows

CHAT = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"]
ARCHITECTURES = ("qwen3", "llama", "gemma3_text")


def corpus():
    for system in SYSTEMS.values():
        for row in demonstration_rows(demonstrate(system, sample_states(system, 50, "train"), DemonstrationConfig())):
            yield row["prompt"] + row["completion"]


def byte_level_tokenizer(chat: bool) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(corpus(), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<|pad|>", bos_token="<|begin|>", eos_token="<|end|>"
    )
    fast.chat_template = CHAT if chat else None
    return fast


def make_folder(path: Path, architecture: str, chat: bool, width: int = 32) -> Path:
    """A folder with a model of that architecture and its tokenizer, as one downloads them."""
    tokenizer = byte_level_tokenizer(chat)
    config = AutoConfig.for_model(
        architecture,
        vocab_size=len(tokenizer) + 8,  # padded, as vocabularies often are
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=width // 2,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path
