"""Scripts in processes of their own, copied from one that has imported what runs need: that takes longer than they."""

import functools
import json
import subprocess
import sys
from pathlib import Path

SERVER = """
import json, os, sys
sys.path.insert(0, {tests!r})
import torch._dynamo  # an optimiser does at its first step
import toy
from at_train import epochs, networks, run
for line in sys.stdin:
    copy = os.fork()
    if not copy:
        os.dup2(2, 1)  # answers are the server's
        exec(json.loads(line), {{"__name__": "__main__"}})
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]), flush=True)
"""


def code_of(script: str) -> int:
    """Exit code of a script; what it says goes where errors go."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(script) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@functools.cache
def _server() -> subprocess.Popen[str]:
    """It leaves when nothing more can come."""
    script = SERVER.format(tests=str(Path(__file__).parent))
    return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
