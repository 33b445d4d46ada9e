"""Where the settings say that Redis is, and the library for it, which not everybody has.

The password lies in a file: settings are printed.
"""

from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from driftgate.features.redis.address import RedisAddress
from driftgate.gateway.settings import FeatureSettings, InvalidConfiguration


def redis_address(settings: FeatureSettings) -> RedisAddress:
    """Return the address; raise InvalidConfiguration where there is none, or it holds a password."""
    if not settings.redis_url:
        raise InvalidConfiguration("features.redis_url: an address like redis://host:6379/0 is needed")
    address = RedisAddress(settings.redis_url, settings.redis_password_file)
    try:
        given = urlsplit(settings.redis_url).password
        address.with_password()
    except ValueError as error:
        raise InvalidConfiguration(f"features.redis_url: {error}") from None
    if given is not None:
        raise InvalidConfiguration(
            "features.redis_url: leave the password out, since settings are printed; write it into a file "
            "and name that in features.redis_password_file"
        )
    return address


def redis_module(name: str) -> Any:
    """Return a module of `driftgate.features.redis`; raise InvalidConfiguration without the library."""
    try:
        return import_module(f"driftgate.features.redis.{name}")
    except ModuleNotFoundError as error:
        raise InvalidConfiguration(
            "features.store: redis needs the redis package: pip install 'driftgate[redis]'"
        ) from error
