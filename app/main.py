"""What servers name, ``app.main:app``: everything is loaded and put together here, once."""

from app.loading import quickly

with quickly():
    from app.application import create_app
    from app.settings import Settings

    app = create_app(Settings.from_environment())
