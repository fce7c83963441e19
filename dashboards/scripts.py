"""What is served as it lies in the package; what is others' of it ``.ci/scripts`` makes anew for their versions."""

from pathlib import Path

_SERVED = Path(__file__).parent / "served"
PLOTLY = _SERVED / "plotly.js.gz"
"""What draws the figures: of plotly, what lines and heat maps need, a quarter of the whole."""
REGENERATOR = _SERVED / "regenerator.js.gz"
"""All that Dash uses of its polyfill, whose rest is for browsers of long ago, and is read for a tenth of a second."""
ACTING = _SERVED / "acting.js"
"""Our own, for who acts: it is loaded when the plots stand."""
LOG_IN, LOG_IN_SCRIPT = _SERVED / "log_in.html", _SERVED / "log_in.js"
"""Our own page on which one logs in: none of Dash's, so that nothing else runs where a password is typed."""
ALARM, ALARM_SCRIPT = _SERVED / "alarm.html", _SERVED / "alarm.js"
"""Our own page of one alarm, for a telephone: none of Dash's, which is larger."""
SOUND = _SERVED / "sound.js"
"""Our own, which makes alarms heard: it comes with what is for who acts."""
LOADING = _SERVED / "loading.js"
"""Our own, which stands in the page itself: it says what cannot be loaded."""
