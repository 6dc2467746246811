"""What processes of other machines leave in the folder of a study."""

import json
import os
import time


def foreign(folder, age_s):
    """Lock of a process on another machine that was last heard of so long ago."""
    folder.mkdir(parents=True)
    path = folder / "1.json"
    path.write_text(json.dumps({"host": "other", "place": "other boot", "pid": 1, "started": "1"}))
    os.utime(path, (time.time() - age_s, time.time() - age_s))
