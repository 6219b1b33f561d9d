"""GRPO in closed loop with TRL's environments: the model plays controls, reads the new state, and continues.

python examples/trl_environment.py Qwen/Qwen3-0.6B    # without a model name: random weights, which only test the code
"""

import sys
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer, chat_template_utils

from llm_agent.integrations.trl_environment import ControlEnvironment, questions


def small_qwen():
    """A small Qwen3 with random weights, a tokenizer of single bytes, and Qwen3's chat template."""
    vocabulary = {byte: i for i, byte in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    byte_level = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    special = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level, **special)
    tokenizer.chat_template = chat_template_utils.qwen3_chat_template
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **sizes, **heads)), tokenizer


def main(model, tokenizer, **length):
    """Trains and prints the last reward."""
    with TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            args=GRPOConfig(folder, per_device_train_batch_size=4, num_generations=4, report_to="none", **length),
            train_dataset=questions(["double_integrator"], 400),
            environment_factory=ControlEnvironment,
        )
        trainer.train()
    print([row for row in trainer.state.log_history if "reward" in row][-1]["reward"])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        name = sys.argv[1]
        model, tokenizer = AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name)
        main(model, tokenizer, max_steps=100, max_completion_length=2048)
    else:
        main(*small_qwen(), max_steps=1, max_completion_length=32, use_cpu=True, bf16=False)
