"""The dashboard: ``streamlit run dashboard/app.py -- [RESULTS] [--data PHOTOS]``, or ``make dashboard``.

Every number is a query on the Parquet files that ``colorlib evaluate`` writes. Pages keep their state in the address.
"""

import common
import sharing
import streamlit as st
import visit
from store import UnreadableError
from streamlit.navigation.page import StreamlitPage

st.set_page_config(page_title="colorlib: measured", page_icon="🎨", layout="wide")
# Numbers begin on the first screen: Streamlit leaves 96 pixels above a page and 20 above its title.
st.html("<style>.stMainBlockContainer {padding-top: 4rem} h1 {padding: 0 !important}</style>")

PAGES = [
    st.Page("views/overview.py", title="Overview", icon=":material/trophy:", default=True),
    st.Page("views/leaderboard.py", title="Leaderboard", icon=":material/leaderboard:"),
    st.Page("views/head_to_head.py", title="Head to head", icon=":material/compare_arrows:"),
    st.Page("views/papers.py", title="Papers", icon=":material/menu_book:"),
    st.Page("views/distributions.py", title="Distributions", icon=":material/show_chart:"),
    st.Page("views/over_time.py", title="Over time", icon=":material/timeline:"),
    st.Page("views/white_balance.py", title="White balance", icon=":material/wb_sunny:"),
    st.Page("views/naturalness.py", title="Naturalness", icon=":material/how_to_vote:"),
    st.Page("views/images.py", title="Images", icon=":material/image:"),
    st.Page("views/yours.py", title="Yours", icon=":material/upload:"),
    st.Page("views/speed.py", title="Speed", icon=":material/speed:"),
    st.Page("views/methodology.py", title="Methodology", icon=":material/function:"),
]


def run(page: StreamlitPage) -> None:
    """Run a page, with what its address or an earlier visit says of it."""
    visit.arrive(page.url_path)
    sharing.begin()
    try:
        page.run()
    except sharing.End:
        pass
    except UnreadableError as error:  # without these files, which are then named on top of the page
        common.leave_out(error.files)
        st.rerun()
    finally:
        sharing.offer()
        visit.remember()
    visit.write()


run(st.navigation(PAGES, position="top"))
