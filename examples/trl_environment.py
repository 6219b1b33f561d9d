"""GRPO in closed loop with TRL's environments: the model plays some controls, is told the state, and plays on.

python examples/trl_environment.py Qwen/Qwen3-0.6B    # without a model: random weights, which show the path alone
"""

import sys
from tempfile import TemporaryDirectory

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer, chat_template_utils

from llm_agent.integrations.trl_environment import ControlEnvironment, questions


def small_qwen():
    """Random weights in Qwen3's shape, a tokenizer of single bytes, and Qwen3's own chat template."""
    letters = {byte: i for i, byte in enumerate(pre_tokenizers.ByteLevel.alphabet())}
    bytes_alone = Tokenizer(models.BPE(vocab=letters, merges=[]))
    bytes_alone.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_alone.decoder = decoders.ByteLevel()
    ends = {"pad_token": "<|endoftext|>", "eos_token": "<|im_end|>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_alone, **ends)
    tokenizer.chat_template = chat_template_utils.qwen3_chat_template
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), **sizes, **heads)), tokenizer


def main(model, tokenizer, **length):
    """One training."""
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
