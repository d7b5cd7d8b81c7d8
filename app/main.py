"""What servers name, ``app.main:app``: everything is loaded and put together here, once."""

import gc

from app.loading import quickly

with quickly():
    from app.application import create_app
    from app.settings import Settings

    app = create_app(Settings.from_environment())

gc.set_threshold(10_000)
"""A plan's objects are freed as it ends, without the collector, which looked at them twice a request all the same."""
