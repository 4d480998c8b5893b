"""Results of one's own beside those that are here: from a folder, from the Hub, or uploaded; checked, then compared."""

import shutil
import tempfile
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import answers
import common
import pandas as pd
import streamlit as st
from common import GRAY
from sharing import End
from store import HUB
from visit import bound, text

from colorlib.benchmarks import SCORES

SCORED = {False: ("rmse", "psnr", "ciede2000", "saturation_difference"), True: ("angular_error",)}


def keep_uploads() -> None:
    """Write the uploaded files to a results folder of this session, in place of earlier ones."""
    kept = st.session_state.setdefault("uploaded", tempfile.TemporaryDirectory(prefix="colorlib-"))  # till it ends
    folder = Path(kept.name, "uploaded")  # whatever a header says of its place
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number, upload in enumerate(st.session_state["uploads"]):
        (folder / f"{number}-{Path(upload.name).name}").write_bytes(upload.getvalue())


def show_uploads() -> str:
    """Let the visitor upload files, and say in which folder of results they are; empty if there are none.

    They outlive the control, which is empty whenever the page is come to again.
    """
    uploads = st.file_uploader(
        "Parquet files that `colorlib evaluate` or `colorlib score` wrote",
        type="parquet",
        accept_multiple_files=True,
        key="uploads",
        on_change=keep_uploads,
    )
    kept = st.session_state.get("uploaded")
    count = len(list(Path(kept.name).glob("*/*"))) if kept else 0
    if count and not uploads:
        st.button(f"Take away what was uploaded before: {count}", icon=":material/delete:", on_click=keep_uploads)
    return str(kept.name) if kept and count else ""


def is_loopback(place: str) -> bool:
    """Whether a name or address, with a port or without, is this machine's own."""
    try:
        host = urlsplit(f"//{place}").hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def may_read_folders() -> bool:
    """Whether the visitor sits at this machine, as far as one can tell; its folders are no business of others."""
    address, headers = st.get_option("server.address") or "", st.context.headers
    proxied = any(name.lower().startswith(("x-forwarded", "forwarded", "x-real-ip", "via")) for name in headers)
    listens = is_loopback(f"[{address}]" if ":" in address else address)
    return listens and is_loopback(headers.get("Host", "")) and not proxied


store = common.open_page("Yours", with_runs=False, with_yours=False)
st.markdown(
    "Compare your own results with those that are here. `colorlib evaluate` measures weights of your own, and "
    "`colorlib score` pictures that any other program made. A run is accepted if it was measured under the protocol "
    "that this dashboard has: the same photographs, size and lightness. Until you close this window, accepted runs "
    "stand on every page."
)
here = may_read_folders()
place = st.text_input(
    "A folder of results on this machine, or a data set on the Hub" if here else "A data set on the Hub",
    **bound("yours", text),
    placeholder="results, or hf://datasets/OWNER/NAME" if here else "hf://datasets/OWNER/NAME",
).strip()
if place and not here and not place.startswith(HUB):
    reason = "folders are read only if the dashboard serves its own machine alone"
    st.error(f"{place}: expected hf://datasets/OWNER/NAME; {reason}")
    place = ""
places = [one for one in (place, show_uploads()) if one]
st.session_state["own_places"] = tuple(places)  # no list, which app.py would give back to a page
if not places:
    st.code(
        "colorlib evaluate -m my.safetensors -b skimage -o results\n"
        "colorlib benchmarks skimage --write inputs   # for another program\n"
        "colorlib score pictures -b skimage --name DDColor -o results",
        language="sh",
    )
    raise End
for one in places:
    try:
        own, refused = common.open_own(one)
    except OSError as error:
        st.error(str(error))
        continue
    lines = [
        {"verdict": "accepted", "method": run.model, "benchmark": run.protocol, "reason": None}
        | {"made by": "another program" if run.external else "colorlib", "file": Path(run.file).name}
        for run in own.runs.itertuples()
    ]
    lines += [{"verdict": "refused", "reason": why, "file": Path(file).name} for file, why in refused.items()]
    if not lines:
        st.info(f"There is no file PROTOCOL/METHOD.parquet in {one}.")
        continue
    names = ["verdict", "method", "benchmark", "made by", "file", "reason"]
    common.show_table(pd.DataFrame(lines).reindex(columns=names), f"Runs of {one}, accepted or refused")
    both = common.with_own(store, [one])
    for protocol in own.protocols:
        mine = set(zip(own.of(protocol)["model"], own.of(protocol)["weights"], strict=True))
        scores = [s for s in SCORED[both.balances(protocol)] if s in common.scores_of(both, protocol)]
        ranked = common.ranks(both, protocol, tuple(scores))
        st.subheader(f"On {answers.plain(protocol)}")
        rows, numbers = [], []
        for score, table in ranked.groupby("score", sort=False):
            how = SCORES[str(score)]
            for row in table.itertuples():
                if (row.model, row.weights) in mine:
                    numbers.append(row._asdict())
                    rows.append(
                        {
                            "method": row.model,
                            "score": how.title + how.direction,
                            "value": how.format(row.value),
                            "rank": f"{row.rank}{' =' if row.tied else ''} of {len(table)}",
                            "best": table["model"].iloc[0],
                            "behind the best": how.format(row.behind),
                            "95 %": f"{how.format(row.behind_low)} to {how.format(row.behind_high)}",
                        }
                    )
        if rows:
            alt = f"Ranks of your methods on {protocol}"
            common.show_table(pd.DataFrame(rows), alt, numbers=pd.DataFrame(numbers).drop(columns="Index"))
        elif {model for model, _ in mine} != {GRAY}:
            st.caption("Your runs lack photographs that the others have, so they are not ranked.")
