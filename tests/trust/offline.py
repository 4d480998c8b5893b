"""No network: imports, inference by every method with embedded weights, and the demo's start, where there is none.

`make offline` runs this in a network namespace of its own (unshare), in which only its own loopback is there.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

NAMESPACE = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up; exec "$0" "$@"', sys.executable]


def inside() -> int:
    """What runs in the namespace."""
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=5)
    except OSError as error:
        print(f"no network: {error}")
    else:
        print("there is a network")
        return 1
    import numpy as np
    from skimage import data

    import colorlib

    photo, faults = data.chelsea()[:120, :160], 0
    for name in colorlib.list_models(ready=True):
        result = colorlib.Colorizer(name)(photo, **({"reference": data.coffee()} if name == "welsh02" else {}))
        picture = np.asarray(result.image)
        right = picture.shape == photo.shape and (name == "grayscale" or np.ptp(picture, axis=2).max() > 5)
        faults += not right
        print(f"{name:32} {'right' if right else 'wrong'}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # To be cautious beyond that: no cache of the Hub, and nothing that says to stay offline.
        environment = {**os.environ, "GRADIO_SERVER_PORT": "7860", "HF_HOME": folder, "TMPDIR": folder}
        demo = subprocess.Popen([sys.executable, "app.py"], cwd=Path(__file__).parents[2] / "demo", env=environment)
        try:
            answer = _page(demo)
        finally:
            demo.terminate()
            demo.wait(60)
    print("demo:", answer)
    return int(faults > 0 or "Photographs in colour" not in answer)


def _page(demo: "subprocess.Popen[bytes]") -> str:
    """The demo's page, or how it ended."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and demo.poll() is None:
        try:
            text = httpx.get("http://127.0.0.1:7860", timeout=60).text
            return "Photographs in colour" if "Photographs in colour" in text else text[:500]
        except httpx.TransportError:
            time.sleep(0.5)
    return f"it ended with {demo.poll()}"


if __name__ == "__main__":
    if sys.argv[1:] == ["inside"]:
        sys.exit(inside())
    sys.exit(subprocess.run([*NAMESPACE, __file__, "inside"]).returncode)
