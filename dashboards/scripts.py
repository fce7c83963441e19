"""Scripts of others that lie in the package: ``.ci/scripts`` makes them anew when their versions change."""

from pathlib import Path

_SERVED = Path(__file__).parent / "served"
PLOTLY = _SERVED / "plotly.js.gz"
"""What draws the figures: of plotly, what lines and heat maps need, a quarter of the whole."""
REGENERATOR = _SERVED / "regenerator.js.gz"
"""All that Dash uses of its polyfill, whose rest is for browsers of long ago, and is read for a tenth of a second."""
LOADING = _SERVED / "loading.js"
"""Our own, which stands in the page itself: it says what cannot be loaded."""
