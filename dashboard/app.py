"""The dashboard: ``streamlit run dashboard/app.py -- [RESULTS] [--data PHOTOS]``, or ``make dashboard``.

Every number is a query on the Parquet files that ``colorlib evaluate`` writes. Pages keep their state in the address.
"""

import streamlit as st

st.set_page_config(page_title="colorlib: measured", page_icon="🎨", layout="wide")

PAGES = [
    st.Page("views/leaderboard.py", title="Leaderboard", icon=":material/leaderboard:", default=True),
    st.Page("views/papers.py", title="Papers", icon=":material/menu_book:"),
    st.Page("views/distributions.py", title="Distributions", icon=":material/show_chart:"),
    st.Page("views/white_balance.py", title="White balance", icon=":material/wb_sunny:"),
    st.Page("views/images.py", title="Images", icon=":material/image:"),
    st.Page("views/speed.py", title="Speed", icon=":material/speed:"),
    st.Page("views/methodology.py", title="Methodology", icon=":material/function:"),
]
st.navigation(PAGES, position="top").run()
