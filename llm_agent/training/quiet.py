"""Silences, by name, warnings that TRL and transformers cause themselves and that our code cannot avoid.

A warning breaks the progress bar that it is printed into, and users cannot act on these. All others are still shown.
"""

from __future__ import annotations

import logging
import warnings

__all__ = ["silence_known_warnings"]

# TRL (1.16) and PEFT (0.21) use the old names when they generate and when they build a trainer. Transformers (5.23)
# warns without a stacklevel, so that the warning names transformers' own module.
OLD_NAMES = r"`(is_gradient_checkpointing|gradient_checkpointing_(enable|disable))` is deprecated"
OLD_NAMES_MODULE = r"transformers\.modeling_utils"

# Greedy generation with a model whose generation_config.json has sampling settings: transformers copies them into the
# call's configuration, and then warns about them as if the call had set them. Without sampling they have no effect.
UNUSED_SAMPLING = "The following generation flags are not valid and may be ignored"
UNUSED_SAMPLING_LOGGER = "transformers.generation.configuration_utils"


def silence_known_warnings() -> None:
    """Silences, in this process:

    * transformers' FutureWarning about ``is_gradient_checkpointing`` and ``gradient_checkpointing_enable`` or
      ``_disable``, which TRL and PEFT still use;
    * transformers' log line that sampling settings are not valid in greedy generation, where they come from the
      model's ``generation_config.json``.

    A second call changes nothing.
    """
    warnings.filterwarnings("ignore", OLD_NAMES, FutureWarning, OLD_NAMES_MODULE)
    logger = logging.getLogger(UNUSED_SAMPLING_LOGGER)
    if _is_worth_showing not in logger.filters:
        logger.addFilter(_is_worth_showing)


def _is_worth_showing(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(UNUSED_SAMPLING)
