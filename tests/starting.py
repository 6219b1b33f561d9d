"""The commands in processes of their own, to be killed and stopped."""

import os
import signal
import subprocess
import sys


def start(module, *args, cwd):
    """The command, in a process group of its own, its output in one stream."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *args],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores Ctrl-C
    )


def finish(module, *args, cwd):
    """The command in a process of its own, to its end; returns what it printed."""
    process = start(module, *map(str, args), cwd=cwd)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, output
    return output
